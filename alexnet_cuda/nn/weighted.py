"""Layers with weights: convolution and fully connected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import ops
from ..ops import parameters
from ..ops.geometry import IntOrPair, Pad
from . import init
from .init import Init
from .layer import Layer, Parameter, Shape, even, maps, window_outputs
from .part import Part

_CONVOLUTION = ("conv2d", "conv2d_dgrad", "conv2d_wgrad", "bias_grad")


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
    operations: ClassVar[tuple[str, ...]] = _CONVOLUTION

    def output_shape(self, shape: Shape) -> Shape:
        _, H, W = maps(self, shape)
        _at_least_one(self, "filters", "groups")
        return (self.filters, *window_outputs(self, (H, W)))

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
    operations: ClassVar[tuple[str, ...]] = ("gemm", *_CONVOLUTION)  # towers that see their own are groups

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

    def leaves_sums(self, towers: int) -> bool:
        return towers == 1  # a matrix product does, a grouped convolution does not

    def forward(self, part: Part, training: bool) -> None:
        w, b = part.parameters["w"], part.parameters["b"]
        N = part.x.shape[-1]
        if part.groups == 1:
            how: dict[str, Any] = {"trans_a": True, "relu": part.fused_relu, "out_dtype": part.y.dtype}
            ops.gemm(w, part.x.reshape(-1, N), bias=b, **how, out=part.y)
        else:  # towers that see their own half only are groups, and a vector is a map of one pixel
            x, w, y = _one_pixel(part.x), w.reshape(w.shape[0], 1, 1, -1), _one_pixel(part.y)
            ops.conv2d(x, w, b, groups=part.groups, relu=part.fused_relu, out=y)

    def backward(self, part: Part, training: bool) -> None:
        w, dw, db = part.parameters["w"], part.gradients["w"], part.gradients["b"]
        N = part.x.shape[-1]
        ops.bias_grad(part.dy, out=db)
        if part.groups == 1:
            ops.gemm(part.x.reshape(-1, N), part.dy, trans_b=True, out_dtype=dw.dtype, out=dw)
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
