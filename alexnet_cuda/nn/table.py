"""A net as text: its layers in a table, the sums, and how it is trained."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import numpy as np

from ..ops.geometry import IntOrPair
from . import init
from .layer import Layer, Shape
from .layers import LRN, AvgPool, Conv, Dropout, FullyConnected, LRNWithinChannel, MaxPool
from .net import SPLIT, Net, Place
from .recipe import Dexp, Plateau, Recipe, Schedule, Steps
from .weighted import Weighted

WIDTH = 110  # of the lines below the table


@dataclass(frozen=True)
class Totals:
    """Sums over a net. neurons: outputs of the layers with weights; shares are convolutions' part of the whole."""

    neurons: int
    parameters: int
    multiply_adds: int
    conv_parameter_share: float
    conv_multiply_add_share: float

    @property
    def mebibytes(self) -> float:
        """Of the parameters in float32."""
        return self.parameters * 4 / 2**20


def totals(net: Net) -> Totals:
    """The sums for one image's forward pass."""
    convolutions = [place for place in net.places if isinstance(place.layer, Conv)]
    return Totals(
        neurons=sum(math.prod(place.output) for place in net.places if isinstance(place.layer, Weighted)),
        parameters=net.parameter_count,
        multiply_adds=net.multiply_adds,
        conv_parameter_share=sum(map(_parameters, convolutions)) / net.parameter_count,
        conv_multiply_add_share=sum(place.multiply_adds for place in convolutions) / net.multiply_adds,
    )


def table(net: Net) -> str:
    """The net for people: a row for each layer, totals, recipe and source. The columns of towers are for two alone."""
    header = ["layer", "output", "parameters", "multiply-adds", "tower", "sees", "settings"]
    rows = [header, *(_row(place) for place in net.places)]
    sums = totals(net)
    rows.append(["total", "", f"{sums.parameters:,}", f"{sums.multiply_adds:,}", "", "", ""])
    if net.towers == 1:
        rows = [row[:4] + row[6:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{net.name}: {_shape(net.input_shape)} pixels in, {net.classes} classes, {net.towers} {_towers(net)}", ""]
    for row in rows:
        cells = [
            cell.rjust(width) if 2 <= i < 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"{sums.neurons:,} neurons; parameters take {sums.mebibytes:.2f} MiB in float32; multiply-adds are those of "
        "one image, forward",
        f"convolutions: {sums.conv_multiply_add_share:.1%} of the multiply-adds, {sums.conv_parameter_share:.1%} of "
        "the parameters",
        "",
        *recipe_lines(net.recipe),
    ]
    if net.source:
        lines.append(_topic("source", net.source))
    return "\n".join(lines)


def recipe_lines(recipe: Recipe) -> list[str]:
    """How a net is trained, a topic a line."""
    how = recipe.augmentation
    wanted = [
        ("random crops", how.random_crop),
        ("flips", how.flip),
        (f"colour noise {how.color:g}", how.color > 0),
    ]
    drawn = ", ".join(text for text, is_wanted in wanted if is_wanted) or "no augmentation"
    mean = {"image": "mean image subtracted", "channel": "mean colour subtracted", "none": "no mean subtracted"}
    scale = "" if recipe.pixel_scale == 1 else f", then divided by {1 / recipe.pixel_scale:g}"
    topics = [
        (
            "training",
            f"{recipe.epochs} epochs, batch {recipe.batch}, rate {recipe.lr:g}, momentum {recipe.momentum:g}, "
            f"weight decay {recipe.weight_decay:g}",
        ),
        ("schedule", _schedule(recipe.schedule)),
        ("  biases", _schedule(recipe.bias_schedule) if recipe.bias_schedule else ""),
        ("images", f"stored at {recipe.store_size}x{recipe.store_size}; {drawn}; {mean[recipe.mean]}{scale}"),
    ]
    return [_topic(name, text) for name, text in topics if text]


def _topic(name: str, text: str) -> str:
    return textwrap.fill(f"{name:10}{text}", WIDTH, subsequent_indent=" " * 10)


def _row(place: Place) -> list[str]:
    layer, weighted = place.layer, isinstance(place.layer, Weighted)
    tower = "both" if place.spread == SPLIT else str(place.spread)
    counts = [f"{n:,}" if weighted else "" for n in (_parameters(place), place.multiply_adds)]
    sees = layer.sees if isinstance(layer, Weighted) else ""
    return [layer.name, _shape(place.output), *counts, tower, sees, _settings(layer)]


def _parameters(place: Place) -> int:
    return sum(math.prod(parameter.shape) for parameter in place.parameters.values())


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _towers(net: Net) -> str:
    return "tower" if net.towers == 1 else "towers"


def _settings(layer: Layer) -> str:
    """What distinguishes a layer from another of its kind, briefly; defaults are left out."""
    if isinstance(layer, Conv):
        groups = [f"groups {layer.groups}"] if layer.groups > 1 else []
        return ", ".join([f"{layer.filters} of {_windows(layer)}", *groups, *_weights(layer)])
    if isinstance(layer, FullyConnected):
        return ", ".join([f"{layer.outputs} outputs", *_weights(layer)])
    if isinstance(layer, (MaxPool, AvgPool)):
        return f"{'max' if isinstance(layer, MaxPool) else 'average'} of {_windows(layer)}"
    if isinstance(layer, (LRN, LRNWithinChannel)):
        where = "maps" if isinstance(layer, LRN) else f"x {layer.size} pixels"
        return f"over {layer.size} {where}, alpha {layer.alpha:g}, beta {layer.beta:g}, k {layer.k:g}"
    if isinstance(layer, Dropout):
        when = "scaled in training" if layer.inverted else "scaled in evaluation"
        return f"keep {layer.keep:g}, {when}"
    return ""


def _windows(layer: Conv | MaxPool | AvgPool) -> str:
    text = _pair(layer.size)
    for name, value, usual in (("stride", layer.stride, 1), ("pad", layer.pad, 0)):
        if value != usual:
            text += f" {name} {value if isinstance(value, (int, str)) else _pair(value)}"
    return text + (" ceil" if layer.ceil_mode else "")


def _pair(value: IntOrPair) -> str:
    vertical, horizontal = (value, value) if isinstance(value, int) else value
    return f"{vertical}x{horizontal}"


def _weights(layer: Weighted) -> list[str]:
    how = layer.init
    name = f"std {how.std:.3g}" if isinstance(how, init.Normal) else type(how).__name__
    texts = [name, f"bias {layer.bias:g}"]
    multipliers = (
        ("rate", layer.weight_lr, 1), ("bias rate", layer.bias_lr, 1),
        ("decay", layer.weight_decay, 1), ("bias decay", layer.bias_decay, 0),
    )  # fmt: skip
    return texts + [f"{what} x{_short(value)}" for what, value, usual in multipliers if value != usual]


def _short(value: float) -> str:
    """Three digits and no exponent, as 0.000301 and 3320."""
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def _schedule(schedule: Schedule) -> str:
    if isinstance(schedule, Steps):
        texts = [
            (f"x{drop.factor:g}" if drop.factor else "frozen") + f" from epoch {drop.epoch}"
            + (f" ({', '.join(drop.layers)})" if drop.layers else "")
            for drop in schedule.drops
        ]  # fmt: skip
        if schedule.color_until is not None:
            texts.append(f"no colour noise from epoch {schedule.color_until}")
        return "; ".join(texts)
    if isinstance(schedule, Plateau):
        return (
            f"x{schedule.factor:g} when the validation error has not improved for {schedule.patience} epochs, "
            f"at most {schedule.drops} times"
        )
    if isinstance(schedule, Dexp):
        return f"down by {schedule.ratio:g} in {schedule.steps} equal logarithmic steps"
    return "constant"
