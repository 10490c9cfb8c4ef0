"""A net: a chain of layers, with the shapes, parameters and tower of each worked out and checked."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import init
from .layer import LAYERS, Layer, Parameter, Shape
from .layers import Conv, SoftmaxLoss, Weighted
from .recipe import Recipe, Steps

INPUT = "data"
WHOLE, SPLIT = "whole", "split"  # where a tensor is: entire wherever it is needed, or a half in each tower
Spread = str | int  # or an integer: entire, in that tower alone


@dataclass(frozen=True)
class Place:
    """One layer in its net: shapes of one image, and how its input and output lie over the towers.

    towers: parts of the input that this layer keeps apart when they sit in one array.
    """

    layer: Layer
    index: int
    input: Shape
    output: Shape
    input_spread: Spread
    spread: Spread
    towers: int
    parameters: dict[str, Parameter]

    @property
    def multiply_adds(self) -> int:
        return self.layer.multiply_adds(self.input, self.towers)


class Net:
    """Layers in order, ending in a `SoftmaxLoss` (added when it is not there).

    layers: as `[nn.Conv(96, 11, stride=4), nn.ReLU(), ...]`; input_shape: (channels, height, width) of the crop the
    net sees; towers: 1 or 2; name: for logs and file names; recipe: how it is trained; source: where it comes from.
    Raises TypeError for what is no layer, and ValueError, which names the layer, where sizes do not fit.
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: Sequence[int], *, towers: int = 1, name: str = "net",
        recipe: Recipe | None = None, source: str = "",
    ):  # fmt: skip
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"net '{name}': got {layer!r} among the layers, wanted layers such as nn.ReLU()")
        if towers not in (1, 2):
            raise ValueError(f"net '{name}': towers: got {towers!r}, wanted 1 or 2")
        if len(input_shape) != 3 or any(not isinstance(size, int) or size < 1 for size in input_shape):
            raise ValueError(f"net '{name}': input_shape: got {tuple(input_shape)!r}, wanted (channels, height, width)")
        self.name = name
        self.towers = towers
        self.input_shape: Shape = tuple(input_shape)
        self.recipe = recipe or Recipe()
        self.source = source
        self.layers = _named(layers)
        self.places = _placed(self.layers, self.input_shape, towers, name)
        self.parameters: dict[str, Parameter] = {p.name: p for place in self.places for p in place.parameters.values()}
        self.classes: int = self.places[-1].output[0]
        for schedule in (self.recipe.schedule, self.recipe.bias_schedule):
            for drop in schedule.drops if isinstance(schedule, Steps) else ():
                self.layers_named(drop.layers)

    def initial(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Initial values of all parameters, float32, whole layers; the same for every placement."""
        return {
            name: p.init.draw(init.generator(seed, name), p.shape, p.fan_in, p.fan_out)
            for name, p in self.parameters.items()
        }

    def place_of(self, layer: str) -> Place:
        """The place of the layer of that name. Raises ValueError with the names there are."""
        for place in self.places:
            if place.layer.name == layer:
                return place
        names = ", ".join(place.layer.name for place in self.places)
        raise ValueError(f"net '{self.name}' has no layer '{layer}'; there are {names}")

    def layers_named(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, checked to be layers with weights. Raises ValueError with the names there are."""
        known = list(dict.fromkeys(p.layer for p in self.parameters.values()))
        for name in names:
            if name not in known:
                raise ValueError(f"net '{self.name}' has no layer with weights '{name}'; there are {', '.join(known)}")
        return tuple(names)

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(p.shape) for p in self.parameters.values())

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass of one image."""
        return sum(place.multiply_adds for place in self.places)

    def replace(self, **changes: Any) -> Net:
        """A net with other `layers`, `input_shape`, `towers`, `name`, `recipe` or `source`."""
        arguments: dict[str, Any] = {
            "layers": self.layers, "input_shape": self.input_shape, "towers": self.towers, "name": self.name,
            "recipe": self.recipe, "source": self.source,
        }  # fmt: skip
        arguments |= changes
        return Net(arguments.pop("layers"), arguments.pop("input_shape"), **arguments)

    def to_json(self) -> dict[str, Any]:
        """The net as JSON's types; `from_json` gives an equal one."""
        return {
            "name": self.name, "input_shape": list(self.input_shape), "towers": self.towers, "source": self.source,
            "recipe": self.recipe.to_json(), "layers": [_layer_to_json(layer) for layer in self.layers],
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Net:
        """What `to_json` wrote. Raises ValueError or TypeError for anything else."""
        missing = [key for key in ("layers", "input_shape", "towers", "name", "recipe", "source") if key not in values]
        if missing:
            raise ValueError(f"the description of a net lacks {', '.join(missing)}")
        return cls(
            [_layer_from_json(layer) for layer in values["layers"]], values["input_shape"], towers=values["towers"],
            name=values["name"], recipe=Recipe.from_json(values["recipe"]), source=values["source"],
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Net {self.name}: {len(self.layers)} layers, {self.parameter_count:,} parameters>"


def _named(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers with a name each: the kind and the number of the latest layer with weights, as in conv1, norm1, fc6."""
    layers = list(layers)
    if not layers or not isinstance(layers[-1], SoftmaxLoss):
        layers.append(SoftmaxLoss(name="loss"))
    number = 0
    named: list[Layer] = []
    taken = {layer.name for layer in layers if layer.name}
    for layer in layers:
        number += isinstance(layer, Weighted)
        name = layer.name or ("loss" if isinstance(layer, SoftmaxLoss) else f"{layer.kind}{number}")
        if not layer.name:
            suffixes = itertools.chain([""], "bcdefghijklmnopqrstuvwxyz", (f"_{n}" for n in itertools.count(27)))
            name = next(name + suffix for suffix in suffixes if name + suffix not in taken)
            taken.add(name)
        elif name == INPUT:
            raise ValueError(f"a layer is called '{INPUT}', which is the name of the net's input")
        elif name in {other.name for other in named}:
            raise ValueError(f"two layers are called '{name}'")
        named.append(dataclasses.replace(layer, name=name))
    return tuple(named)


def _placed(layers: Sequence[Layer], shape: Shape, towers: int, net: str) -> tuple[Place, ...]:
    if not any(isinstance(layer, Weighted) for layer in layers):
        raise ValueError(f"net '{net}': no layer has weights, so there is nothing to train")
    spread: Spread = WHOLE
    places = []
    for index, layer in enumerate(layers):
        output_spread = _spread(layer, spread, towers)
        # What each layer keeps apart: its towers, where the input has towers and the layer sees its own.
        own = not isinstance(layer, Weighted) or layer.sees == "own"
        apart = towers if own and spread == SPLIT else 1
        output = layer.output_shape(shape)
        if isinstance(layer, Conv) and layer.groups > 1 and towers > 1 and layer.sees == "all":
            raise ValueError(f"layer '{layer.name}': groups in a net of {towers} towers need sees='own'")
        parameters = layer.parameters(shape, apart)
        if output_spread == SPLIT and output[0] % towers:
            raise ValueError(f"layer '{layer.name}': {output[0]} outputs cannot be split over {towers} towers")
        places.append(Place(layer, index, shape, output, spread, output_spread, apart, parameters))
        shape, spread = output, output_spread
        if isinstance(layer, SoftmaxLoss) and index + 1 < len(layers):
            raise ValueError(f"net '{net}': layer '{layer.name}' has to be the last one")
    return tuple(places)


def _spread(layer: Layer, spread: Spread, towers: int) -> Spread:
    """Where a layer's output is, given where its input is."""
    if layer.on is not None:
        if layer.on not in range(towers):
            raise ValueError(f"layer '{layer.name}': on: got {layer.on!r}, wanted a tower from 0 to {towers - 1}")
        if not isinstance(layer, Weighted) and spread != layer.on:
            raise ValueError(f"layer '{layer.name}': only a layer with weights can move to one tower; leave out on")
    if isinstance(spread, int) and layer.on not in (None, spread):
        raise ValueError(f"layer '{layer.name}': its input is on tower {spread}, so it cannot be on {layer.on}")
    if towers == 1:
        return WHOLE
    if isinstance(layer, SoftmaxLoss):
        return spread if isinstance(spread, int) else 0
    if not isinstance(layer, Weighted) or isinstance(spread, int):
        return spread
    if layer.sees == "own" and (spread != SPLIT or layer.on is not None):
        raise ValueError(f"layer '{layer.name}': sees='own' needs an input and an output in both towers; use 'all'")
    return SPLIT if layer.on is None else layer.on


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    values = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    if isinstance(layer, Weighted):
        values["init"] = {"kind": type(layer.init).__name__, **dataclasses.asdict(layer.init)}
    return {"kind": type(layer).__name__, **values}


def _layer_from_json(values: dict[str, Any]) -> Layer:
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    kind = values.pop("kind", None)
    if kind not in LAYERS:
        there = ", ".join(LAYERS)
        raise ValueError(f"unknown layer {kind!r}; there are {there}; one of your own has to be imported first")
    if "init" in values:
        how = dict(values["init"])
        name = how.pop("kind", None)
        if name not in init.KINDS:
            raise ValueError(f"unknown initial values {name!r}; there are {', '.join(init.KINDS)}")
        values["init"] = init.KINDS[name](**how)
    return LAYERS[kind](**values)
