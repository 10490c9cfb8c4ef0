"""The layers: sizes, the shapes that follow from them, and which operations they call forward and backward.

A new layer is one class here and one operation in `ops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..ops import geometry, parameters
from ..ops.geometry import IntOrPair, Pad
from .layer import Layer, Parameter, Shape, Weighted, even, maps
from .part import Part

TOPK = (1, 5)


def _outputs(layer: Conv | MaxPool | AvgPool, image: tuple[int, int]) -> tuple[int, int]:
    """How many windows of a layer fit an image."""
    size = parameters.pair(f"layer '{layer.name}'", "size", layer.size, minimum=1)
    windows = geometry.windows(f"layer '{layer.name}'", image, size, layer.stride, layer.pad, layer.ceil_mode)
    return windows.outputs


def _at_least_one(layer: Layer, *counts: str) -> None:
    for count in counts:
        parameters.integer(f"layer '{layer.name}'", count, getattr(layer, count), minimum=1)


@dataclass(frozen=True)
class Conv(Weighted):
    """Convolution with bias. filters: in all towers together; size, stride: pixels; groups: inside one tower."""

    filters: int
    size: IntOrPair
    stride: IntOrPair = 1
    pad: Pad = 0
    groups: int = 1
    ceil_mode: bool = False
    kind: ClassVar[str] = "conv"

    def output_shape(self, shape: Shape) -> Shape:
        _, H, W = maps(self, shape)
        _at_least_one(self, "filters", "groups")
        return (self.filters, *_outputs(self, (H, W)))

    def parameters(self, shape: Shape, towers: int) -> dict[str, Parameter]:
        C, groups = shape[0], self.groups * towers
        even(self, "filters", self.filters, groups)
        R, S = parameters.pair(self.name, "size", self.size, minimum=1)
        channels = even(self, "input channels", C, groups)
        return self._parameters((channels, R, S, self.filters), channels * R * S, self.filters // groups * R * S)

    def multiply_adds(self, shape: Shape, towers: int) -> int:
        channels, R, S, K = self.parameters(shape, towers)["w"].shape
        _, P, Q = self.output_shape(shape)
        return channels * R * S * K * P * Q

    def _geometry(self, part: Part) -> dict:
        groups = self.groups * part.groups
        return {"stride": self.stride, "pad": self.pad, "groups": groups, "ceil_mode": self.ceil_mode}

    def forward(self, part: Part, training: bool) -> None:
        w, b = part.parameters["w"], part.parameters["b"]
        ops.conv2d(part.x, w, b, **self._geometry(part), relu=part.fused_relu, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        w, dw, db = part.parameters["w"], part.gradients["w"], part.gradients["b"]
        ops.bias_grad(part.dy, out=db)
        ops.conv2d_wgrad(part.x, part.dy, w.shape, **self._geometry(part), out=dw)
        if part.dx is not None:
            ops.conv2d_dgrad(part.dy, w, part.x.shape, **self._geometry(part), out=part.dx)


@dataclass(frozen=True)
class FullyConnected(Weighted):
    """Every output from every input it sees, with bias. outputs: in all towers together."""

    outputs: int
    kind: ClassVar[str] = "fc"

    def output_shape(self, shape: Shape) -> Shape:
        _at_least_one(self, "outputs")
        return (self.outputs,)

    def parameters(self, shape: Shape, towers: int) -> dict[str, Parameter]:
        features = 1
        for size in shape:
            features *= size
        inputs = even(self, "input features", features, towers)
        outputs = even(self, "outputs", self.outputs, towers)
        return self._parameters((inputs, self.outputs), inputs, outputs)

    def multiply_adds(self, shape: Shape, towers: int) -> int:
        inputs, outputs = self.parameters(shape, towers)["w"].shape
        return inputs * outputs

    def forward(self, part: Part, training: bool) -> None:
        w, b = part.parameters["w"], part.parameters["b"]
        N = part.x.shape[-1]
        if part.groups == 1:
            ops.gemm(w, part.x.reshape(-1, N), trans_a=True, bias=b, relu=part.fused_relu, out=part.y)
        else:  # towers that see their own half only are groups, and a vector is a map of one pixel
            x, w, y = _one_pixel(part.x), w.reshape(w.shape[0], 1, 1, -1), _one_pixel(part.y)
            ops.conv2d(x, w, b, groups=part.groups, relu=part.fused_relu, out=y)

    def backward(self, part: Part, training: bool) -> None:
        w, dw, db = part.parameters["w"], part.gradients["w"], part.gradients["b"]
        N = part.x.shape[-1]
        ops.bias_grad(part.dy, out=db)
        if part.groups == 1:
            ops.gemm(part.x.reshape(-1, N), part.dy, trans_b=True, out=dw)
            if part.dx is not None:
                ops.gemm(w, part.dy, out=part.dx.reshape(-1, N))
            return
        x, dy, w = _one_pixel(part.x), _one_pixel(part.dy), w.reshape(w.shape[0], 1, 1, -1)
        where: dict[str, Any] = {"stride": 1, "pad": 0, "groups": part.groups, "ceil_mode": False}
        ops.conv2d_wgrad(x, dy, w.shape, **where, out=dw.reshape(w.shape))
        if part.dx is not None:
            ops.conv2d_dgrad(dy, w, x.shape, **where, out=_one_pixel(part.dx))


def _one_pixel(x):
    return x.reshape(-1, 1, 1, x.shape[-1])


@dataclass(frozen=True)
class ReLU(Layer):
    """`max(x, 0)`, in place; NaN stays."""

    kind: ClassVar[str] = "relu"
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

    def forward(self, part: Part, training: bool) -> None:
        ops.lrn(part.x, **self._constants(), groups=part.groups, out=part.y)

    def backward(self, part: Part, training: bool) -> None:
        ops.lrn_backward(part.x, part.dy, **self._constants(), groups=part.groups, out=part.dx)


@dataclass(frozen=True)
class LRNWithinChannel(_Norm):
    """Normalisation by the neighbours in the same map, `size` x `size` pixels."""

    kind: ClassVar[str] = "mapnorm"

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

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = maps(self, shape)
        return (C, *_outputs(self, (H, W)))

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

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = maps(self, shape)
        return (C, *_outputs(self, (H, W)))

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

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"layer '{self.name}': wanted one value per class, got maps {list(shape)}")
        return shape

    def forward(self, part: Part, training: bool) -> None:
        out = (part.kept["loss"], part.kept["correct"], part.dx)
        ops.softmax_cross_entropy(part.x, part.kept["labels"], topk=TOPK, state=part.state, out=out)

    def backward(self, part: Part, training: bool) -> None:
        """The gradient came with the loss."""


LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Conv, FullyConnected, ReLU, Tanh, Sigmoid, LRN, LRNWithinChannel, MaxPool, AvgPool, Dropout, SoftmaxLoss,
    )
}  # fmt: skip
