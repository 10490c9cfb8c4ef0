"""What every layer is: data, and the rules that place it.

What a layer computes on, it finds in a `Part`: one layer on one device. So the same class serves one device, two
towers on two devices, and a gradient check.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..ops import geometry, parameters
from .init import Init

if TYPE_CHECKING:
    from .part import Part

Shape = tuple[int, ...]  # (C, H, W) of maps, or (features,)
LAYERS: dict[str, type[Layer]] = {}  # by class name


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

    @property
    def is_bias(self) -> bool:
        return self.name.endswith(".b")


@dataclass(frozen=True)
class Layer:
    """What all layers have. name: by default the kind and the number of the last layer with weights (`pool5`).

    on: the one tower that computes this layer, or None for all of them.
    """

    name: str = field(default="", kw_only=True)
    on: int | None = field(default=None, kw_only=True)

    kind: ClassVar[str] = ""
    operations: ClassVar[tuple[str, ...]] = ()  # those of `ops` that forward and backward call
    pointwise: ClassVar[bool] = False  # keeps the shape, and may write its result over its input
    reads_own: ClassVar[str] = ""  # what backward needs of the layer's own output: "", its "sign", or its "value"
    keeps_sign: ClassVar[bool] = False  # the result is positive just where the input is, or is zero

    def __init_subclass__(cls) -> None:
        """Every layer with a kind can be read back from a checkpoint, a user's own too once it is imported."""
        if cls.kind:
            LAYERS[cls.__name__] = cls

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image's output. Raises ValueError where the input does not fit."""
        return shape

    def parameters(self, shape: Shape, towers: int) -> dict[str, Parameter]:
        """Parameters by their short names, for an input of `shape` in `towers` parts that see their own only.

        What is called b is added to sums, and is float32 where the others are bfloat16.
        """
        return {}

    def multiply_adds(self, shape: Shape, towers: int) -> int:
        """Multiply-adds of the forward pass of one image, in products of weights alone."""
        return 0

    def leaves_sums(self, towers: int) -> bool:
        """Whether forward can write its sums as they are, in float32, also where it reads bfloat16."""
        return False

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


def maps(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"layer '{layer.name}': wanted maps [C, H, W], got the {shape[0]} features of one vector")
    return shape[0], shape[1], shape[2]


def even(layer: Layer, what: str, count: int, parts: int) -> int:
    if count % parts:
        raise ValueError(f"layer '{layer.name}': {count} {what} cannot be split into {parts} equal parts")
    return count // parts


def window_outputs(layer: Any, image: tuple[int, int]) -> tuple[int, int]:
    """How many windows of a layer with size, stride, pad and ceil_mode fit an image, down and across."""
    size = parameters.pair(f"layer '{layer.name}'", "size", layer.size, minimum=1)
    return geometry.windows(f"layer '{layer.name}'", image, size, layer.stride, layer.pad, layer.ceil_mode).outputs
