"""Layers with weights: convolution and fully connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import ops
from ..ops import parameters
from ..ops.arrays import Array
from ..ops.geometry import IntOrPair, Pad
from . import init
from .init import Init
from .layer import Layer, Parameter, Shape, even, maps, window_outputs
from .nodes import Rate, Slice
from .part import Part

_CONVOLUTION = ("conv2d", "conv2d_dgrad", "conv2d_wgrad_db", "conv2d_wgrad_sgd")


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

    def backward(self, part: Part, training: bool) -> None:
        self.parameter_gradients(part)
        if part.dx is not None:
            self.input_gradient(part)

    def parameter_gradients(self, part: Part) -> None:
        """part.gradients from part.x and part.dy."""
        raise NotImplementedError

    def input_gradient(self, part: Part) -> None:
        """part.dx from part.dy and the weights."""
        raise NotImplementedError

    def update(self, part: Part, pieces: Mapping[str, Slice], rates: Mapping[str, Rate], momentum: float) -> None:
        """What `parameter_gradients` and updates of the parameters that `rates` names give, "w" always among them; what
        is left in part.gradients is undefined."""
        raise NotImplementedError

    def updates_in_one_pass(self, part: Part, backend: str) -> bool:
        """Whether `update` never writes the gradient of the weights on a backend with kernels (the current GPU)."""
        return False


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

    def parameter_gradients(self, part: Part) -> None:
        dw, db = part.gradients["w"], part.gradients["b"]
        ops.conv2d_wgrad_db(part.x, part.dy, dw.shape, **self._geometry(part), out=(dw, db))

    def input_gradient(self, part: Part) -> None:
        ops.conv2d_dgrad(part.dy, part.parameters["w"], part.x.shape, **self._geometry(part), out=part.dx)

    def update(self, part: Part, pieces: Mapping[str, Slice], rates: Mapping[str, Rate], momentum: float) -> None:
        _update_convolution(
            part.x, part.dy, pieces["w"].value.shape, part, pieces, rates, momentum, self._geometry(part)
        )

    def updates_in_one_pass(self, part: Part, backend: str) -> bool:
        dy: Array = part.dy
        shapes = part.x.shape, dy.shape, part.parameters["w"].shape
        return ops.is_fused("conv2d_wgrad_sgd", *shapes, dtype=part.x.dtype, backend=backend)


@dataclass(frozen=True)
class FullyConnected(Weighted):
    """Every output from every input it sees, with bias. outputs: in all towers together."""

    outputs: int
    kind: ClassVar[str] = "fc"
    # Towers that see their own are groups.
    operations: ClassVar[tuple[str, ...]] = ("gemm", "gemm_sgd", "bias_grad", *_CONVOLUTION)

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
        if part.groups == 1:
            how: dict[str, Any] = {"trans_a": True, "relu": part.fused_relu, "out_dtype": part.y.dtype}
            ops.gemm(w, _matrix(part.x), bias=b, **how, out=part.y)
        else:  # towers that see their own half only are groups, and a vector is a map of one pixel
            x, w, y = _one_pixel(part.x), w.reshape(_filters(w)), _one_pixel(part.y)
            ops.conv2d(x, w, b, groups=part.groups, relu=part.fused_relu, out=y)

    def parameter_gradients(self, part: Part) -> None:
        dw, db = part.gradients["w"], part.gradients["b"]
        if part.groups == 1:
            ops.bias_grad(part.dy, out=db)
            ops.gemm(_matrix(part.x), part.dy, trans_b=True, out_dtype=dw.dtype, out=dw)
            return
        x, dy, dw = _one_pixel(part.x), _one_pixel(part.dy), dw.reshape(_filters(dw))
        ops.conv2d_wgrad_db(x, dy, dw.shape, **_geometry_of_one_pixel(part), out=(dw, db))

    def input_gradient(self, part: Part) -> None:
        w = part.parameters["w"]
        if part.groups == 1:
            ops.gemm(w, part.dy, out=_matrix(part.dx))
            return
        dy, dx, w = _one_pixel(part.dy), _one_pixel(part.dx), w.reshape(_filters(w))
        ops.conv2d_dgrad(dy, w, dx.shape, **_geometry_of_one_pixel(part), out=dx)

    def update(self, part: Part, pieces: Mapping[str, Slice], rates: Mapping[str, Rate], momentum: float) -> None:
        w, rate = pieces["w"], rates["w"]
        if part.groups > 1:
            x, dy, where = _one_pixel(part.x), _one_pixel(part.dy), _geometry_of_one_pixel(part)
            _update_convolution(x, dy, _filters(w.value), part, pieces, rates, momentum, where)
            return
        common = {"momentum": momentum, "state": part.state}
        how: dict[str, Any] = {"lr": rate.lr, "weight_decay": rate.weight_decay, "w_bf16": w.copy, **common}
        ops.gemm_sgd(_matrix(part.x), part.dy, w.value, w.momentum, **how)
        if "b" in rates:
            b, rate, db = pieces["b"], rates["b"], part.gradients["b"]
            ops.bias_grad(part.dy, out=db)
            ops.sgd_momentum(b.value, b.momentum, db, lr=rate.lr, weight_decay=rate.weight_decay, **common)

    def updates_in_one_pass(self, part: Part, backend: str) -> bool:
        x, w, asked = part.x, part.parameters["w"], {"dtype": part.x.dtype, "backend": backend}
        dy: Array = part.dy
        if part.groups == 1:
            return ops.is_fused("gemm_sgd", _matrix(x).shape, dy.shape, w.shape, **asked)
        shapes = _one_pixel(x).shape, _one_pixel(dy).shape, _filters(w)
        return ops.is_fused("conv2d_wgrad_sgd", *shapes, **asked)


def _update_convolution(
    x: Array, dy: Array, shape: tuple[int, ...], part: Part, pieces: Mapping[str, Slice], rates: Mapping[str, Rate],
    momentum: float, where: dict[str, Any],
) -> None:  # fmt: skip
    """shape: of the filters, which those of one pixel are not kept in."""
    w, bias = pieces["w"], {}
    v: Array = w.momentum
    if "b" in rates:
        b, rate = pieces["b"], rates["b"]
        bias = {"b": b.value, "b_v": b.momentum, "b_lr": rate.lr, "b_weight_decay": rate.weight_decay}
    ops.conv2d_wgrad_sgd(
        x, dy, w.value.reshape(shape), v.reshape(shape), **where,
        lr=rates["w"].lr, momentum=momentum, weight_decay=rates["w"].weight_decay,
        w_bf16=None if w.copy is None else w.copy.reshape(shape), **bias, state=part.state,
    )  # fmt: skip


def _geometry_of_one_pixel(part: Part) -> dict[str, Any]:
    return {"stride": 1, "pad": 0, "groups": part.groups, "ceil_mode": False}


def _matrix(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _filters(w: Array) -> tuple[int, ...]:
    """Shape of a matrix of weights as filters of one pixel."""
    return (w.shape[0], 1, 1, w.shape[1])


def _one_pixel(x: Array) -> Array:
    return x.reshape(-1, 1, 1, x.shape[-1])
