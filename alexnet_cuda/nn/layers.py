"""The layers: sizes, the shapes that follow from them, and which operations they call forward and backward.

A new layer is one class here (in `weighted` if it has weights) and one operation in `ops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..ops import parameters
from ..ops.geometry import IntOrPair, Pad
from .layer import Layer, Shape, maps, window_outputs
from .part import Part
from .weighted import Conv, FullyConnected, Weighted

__all__ = [
    "AvgPool",
    "Conv",
    "Dropout",
    "FullyConnected",
    "LRN",
    "LRNWithinChannel",
    "MaxPool",
    "ReLU",
    "Sigmoid",
    "SoftmaxLoss",
    "TOPK",
    "Tanh",
    "Weighted",
]
TOPK = (1, 5)


@dataclass(frozen=True)
class ReLU(Layer):
    """`max(x, 0)`, in place; NaN stays."""

    kind: ClassVar[str] = "relu"
    operations: ClassVar[tuple[str, ...]] = ("relu", "relu_backward")
    pointwise: ClassVar[bool] = True
    reads_own: ClassVar[str] = "sign"
    keeps_sign: ClassVar[bool] = True

    def forward(self, part: Part, training: bool) -> None:
        ops.relu(part.x, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.relu_backward(part.dy, part.y, out=part.dx)


@dataclass(frozen=True)
class Tanh(Layer):
    """Hyperbolic tangent, in place."""

    kind: ClassVar[str] = "tanh"
    operations: ClassVar[tuple[str, ...]] = ("tanh", "tanh_backward")
    pointwise: ClassVar[bool] = True
    reads_own: ClassVar[str] = "value"

    def forward(self, part: Part, training: bool) -> None:
        ops.tanh(part.x, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.tanh_backward(part.dy, part.y, out=part.dx)


@dataclass(frozen=True)
class Sigmoid(Layer):
    """`1 / (1 + exp(-x))`, in place."""

    kind: ClassVar[str] = "sigmoid"
    operations: ClassVar[tuple[str, ...]] = ("sigmoid", "sigmoid_backward")
    pointwise: ClassVar[bool] = True
    reads_own: ClassVar[str] = "value"

    def forward(self, part: Part, training: bool) -> None:
        ops.sigmoid(part.x, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.sigmoid_backward(part.dy, part.y, out=part.dx)


@dataclass(frozen=True)
class _Norm(Layer):
    """The constants that both normalisations have, and their checks."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def output_shape(self, shape: Shape) -> Shape:
        name = f"layer '{self.name}'"
        parameters.integer(name, "size", self.size, minimum=1)
        parameters.number(name, "alpha", self.alpha, minimum=0)
        parameters.number(name, "beta", self.beta)
        parameters.number(name, "k", self.k, minimum=parameters.FLOAT32_SMALLEST)
        return maps(self, shape)

    def _constants(self) -> dict[str, Any]:
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}


@dataclass(frozen=True)
class LRN(_Norm):
    """Normalisation across the maps of one tower: `x / (k + alpha * sum x^2)^beta`, alpha not divided by size."""

    kind: ClassVar[str] = "norm"
    operations: ClassVar[tuple[str, ...]] = ("lrn", "lrn_backward")

    def forward(self, part: Part, training: bool) -> None:
        ops.lrn(part.x, **self._constants(), groups=part.groups, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.lrn_backward(part.x, part.dy, **self._constants(), groups=part.groups, out=part.dx)


@dataclass(frozen=True)
class LRNWithinChannel(_Norm):
    """Normalisation by the neighbours in the same map, `size` x `size` pixels."""

    kind: ClassVar[str] = "mapnorm"
    operations: ClassVar[tuple[str, ...]] = ("lrn_within_channel", "lrn_within_channel_backward")

    def forward(self, part: Part, training: bool) -> None:
        ops.lrn_within_channel(part.x, **self._constants(), out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.lrn_within_channel_backward(part.x, part.dy, **self._constants(), out=part.dx)


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over windows; size 3 at stride 2 is the paper's overlapping pooling."""

    size: IntOrPair = 3
    stride: IntOrPair = 2
    pad: Pad = 0
    ceil_mode: bool = False
    kind: ClassVar[str] = "pool"
    operations: ClassVar[tuple[str, ...]] = ("max_pool", "max_pool_backward")

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = maps(self, shape)
        return (C, *window_outputs(self, (H, W)))

    def kept(self, shape: Shape) -> dict[str, tuple[Shape, str]]:
        R, S = parameters.pair(self.name, "size", self.size, minimum=1)
        return {"argmax": (self.output_shape(shape), "uint8" if R * S <= 256 else "uint16")}

    def _geometry(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride, "pad": self.pad, "ceil_mode": self.ceil_mode}

    def forward(self, part: Part, training: bool) -> None:
        ops.max_pool(part.x, **self._geometry(), out=(part.y, part.kept["argmax"]))

    def backward(self, part: Part, training: bool) -> None:
        ops.max_pool_backward(part.dy, part.kept["argmax"], part.x.shape, **self._geometry(), out=part.dx)


@dataclass(frozen=True)
class AvgPool(Layer):
    """Mean over the pixels that lie inside each window."""

    size: IntOrPair = 2
    stride: IntOrPair = 2
    pad: Pad = 0
    ceil_mode: bool = False
    kind: ClassVar[str] = "pool"
    operations: ClassVar[tuple[str, ...]] = ("avg_pool", "avg_pool_backward")

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = maps(self, shape)
        return (C, *window_outputs(self, (H, W)))

    def _geometry(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride, "pad": self.pad, "ceil_mode": self.ceil_mode}

    def forward(self, part: Part, training: bool) -> None:
        ops.avg_pool(part.x, **self._geometry(), out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.avg_pool_backward(part.dy, part.x.shape, **self._geometry(), out=part.dx)


@dataclass(frozen=True)
class Dropout(Layer):
    """Keep each feature with probability `keep` in training, in place.

    inverted: scale by `1 / keep` in training; False scales by keep in evaluation instead, as the paper and 2012 did.
    """

    keep: float = 0.5
    inverted: bool = True
    kind: ClassVar[str] = "drop"
    operations: ClassVar[tuple[str, ...]] = ("dropout", "dropout_backward", "scale")
    pointwise: ClassVar[bool] = True
    keeps_sign: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        parameters.number(f"layer '{self.name}'", "keep", self.keep, above=0, maximum=1)
        return shape

    def _mask(self, part: Part) -> dict[str, Any]:
        where = {"layer": part.index, "first_row": part.first_row, "first_image": 0}
        return {"keep": self.keep, "inverted": self.inverted, "seed": part.seed, "step": part.state[:1], **where}

    def forward(self, part: Part, training: bool) -> None:
        if training:
            ops.dropout(part.x, **self._mask(part), out=part.y)
        else:
            self._at_test_time(part, part.x, part.y)

    def backward(self, part: Part, training: bool) -> None:
        if training:
            ops.dropout_backward(part.dy, **self._mask(part), out=part.dx)
        else:
            self._at_test_time(part, part.dy, part.dx)

    def _at_test_time(self, part: Part, source: Any, out: Any) -> None:
        if not self.inverted or source is not out:
            ops.scale(source, 1.0 if self.inverted else self.keep, out=out)


@dataclass(frozen=True)
class SoftmaxLoss(Layer):
    """The end of a net: mean cross-entropy of the softmax, its gradient, and the counts of right answers."""

    kind: ClassVar[str] = "loss"
    operations: ClassVar[tuple[str, ...]] = ("softmax_cross_entropy",)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"layer '{self.name}': wanted one value per class, got maps {list(shape)}")
        return shape

    def forward(self, part: Part, training: bool) -> None:
        dlogits: Any = part.dx
        how: dict[str, Any] = {"topk": TOPK, "state": part.state, "dlogits_dtype": dlogits.dtype}
        out = (part.kept["loss"], part.kept["correct"], dlogits)
        ops.softmax_cross_entropy(part.x, part.kept["labels"], **how, out=out)

    def backward(self, part: Part, training: bool) -> None:
        """The gradient came with the loss."""
