"""What every layer is: data, and the rules that place it.

What a layer computes on, it finds in a `Part`: one layer on one device. So the same class serves one device, two
towers on two devices, and a gradient check.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ..ops import parameters
from . import init
from .init import Init

if TYPE_CHECKING:
    from .part import Part

Shape = tuple[int, ...]  # (C, H, W) of maps, or (features,)


@dataclass(frozen=True)
class Parameter:
    """A weight or bias of a whole layer, whatever towers it is spread over; the last axis is the one that is split.

    lr, decay: multipliers of the recipe's learning rate and weight decay. fan_in, fan_out: inputs of one output, and
    outputs of one input, for the initial values.
    """

    name: str
    layer: str
    shape: Shape
    init: Init
    lr: float
    decay: float
    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class Layer:
    """What all layers have. name: by default the kind and the number of the last layer with weights (`pool5`).

    on: the one tower that computes this layer, or None for all of them.
    """

    name: str = field(default="", kw_only=True)
    on: int | None = field(default=None, kw_only=True)

    kind: ClassVar[str] = ""
    pointwise: ClassVar[bool] = False  # keeps the shape, and may write its result over its input
    reads_own: ClassVar[str] = ""  # what backward needs of the layer's own output: "", its "sign", or its "value"
    keeps_sign: ClassVar[bool] = False  # the result is positive just where the input is, or is zero

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image's output. Raises ValueError where the input does not fit."""
        return shape

    def parameters(self, shape: Shape, towers: int) -> dict[str, Parameter]:
        """Parameters by their short names, for an input of `shape` in `towers` parts that see their own only."""
        return {}

    def multiply_adds(self, shape: Shape, towers: int) -> int:
        """Multiply-adds of the forward pass of one image, in products of weights alone."""
        return 0

    def kept(self, shape: Shape) -> dict[str, tuple[Shape, str]]:
        """Arrays that forward leaves for backward: name to (shape of one image, dtype)."""
        return {}

    def forward(self, part: Part, training: bool) -> None:
        """Compute part.y from part.x; `training` is False at test time."""
        raise NotImplementedError

    def backward(self, part: Part, training: bool) -> None:
        """From part.dy compute part.dx, unless that is None, and the gradients of the parameters.

        Layers without parameters are asked only when there is a part.dx.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Weighted(Layer):
    """What layers with weights share.

    sees: "own", the maps of its own tower, or "all" of them; in a net of one tower there is no difference.
    bias: its initial value. weight_lr, bias_lr, weight_decay, bias_decay: multipliers of the recipe's.
    """

    sees: str = field(default="all", kw_only=True)
    init: Init = field(default_factory=init.He, kw_only=True)
    bias: float = field(default=0.0, kw_only=True)
    weight_lr: float = field(default=1.0, kw_only=True)
    bias_lr: float = field(default=1.0, kw_only=True)
    weight_decay: float = field(default=1.0, kw_only=True)
    bias_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        name = f"layer '{self.name or self.kind}'"
        if self.sees not in ("own", "all"):
            raise ValueError(f"{name}: sees: got {self.sees!r}, wanted 'own' or 'all'")
        if not isinstance(self.init, Init):
            raise TypeError(f"{name}: init: got {self.init!r}, wanted initial values such as nn.He()")
        for multiplier in ("bias", "weight_lr", "bias_lr", "weight_decay", "bias_decay"):
            minimum = None if multiplier == "bias" else 0.0
            parameters.number(name, multiplier, getattr(self, multiplier), minimum=minimum)

    def _parameters(self, w_shape: Shape, fan_in: int, fan_out: int) -> dict[str, Parameter]:
        fans = {"fan_in": fan_in, "fan_out": fan_out}
        w = Parameter(f"{self.name}.w", self.name, w_shape, self.init, self.weight_lr, self.weight_decay, **fans)
        b = Parameter(
            f"{self.name}.b", self.name, w_shape[-1:], init.Constant(self.bias), self.bias_lr, self.bias_decay, **fans
        )
        return {"w": w, "b": b}


def maps(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"layer '{layer.name}': wanted maps [C, H, W], got the {shape[0]} features of one vector")
    return shape[0], shape[1], shape[2]


def even(layer: Layer, what: str, count: int, parts: int) -> int:
    if count % parts:
        raise ValueError(f"layer '{layer.name}': {count} {what} cannot be split into {parts} equal parts")
    return count // parts
