"""Convolution and its gradients."""

import math
from collections.abc import Sequence
from typing import Any

from ..arrays import Array
from .base import Base

Pair = tuple[int, int]


class Conv(Base):
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, pad: Pair, groups: int, relu: bool, out: Array
    ) -> None:
        (x_ptr, w_ptr, out_ptr), dtype = self._floats("conv2d", x, w, out)
        self._module.conv_fprop(
            x_ptr, w_ptr, self._address(b), out_ptr, x.shape, w.shape, out.shape, stride, pad, groups, relu,
            dtype, self._where(),
        )  # fmt: skip

    def conv2d_dgrad(
        self, dy: Array, w: Array, relu_y: Array | None, *, stride: Pair, pad: Pair, groups: int, out: Array
    ) -> None:
        (dy_ptr, w_ptr, out_ptr), dtype = self._floats("conv2d_dgrad", dy, w, out)
        self._module.conv_dgrad(
            dy_ptr, w_ptr, self._address(relu_y), out_ptr, out.shape, w.shape, dy.shape, stride, pad, groups,
            dtype, self._where(),
        )  # fmt: skip

    def conv2d_wgrad(
        self, x: Array, dy: Array, *, stride: Pair, pad: Pair, groups: int, out: Array, workspace: Array | None
    ) -> None:
        pointers, dtype = self._floats("conv2d_wgrad", x, dy, out)
        shapes = (x.shape, out.shape, dy.shape)
        scratch = self._workspace("conv2d_wgrad", workspace, self._module.conv_wgrad_workspace_bytes(*shapes, dtype))
        self._module.conv_wgrad(*pointers, *shapes, stride, pad, groups, self._address(scratch), dtype, self._where())

    def conv2d_wgrad_db(
        self, x: Array, dy: Array, *, stride: Pair, pad: Pair, groups: int, out: tuple[Array, Array],
        workspace: Array | None,
    ) -> None:  # fmt: skip
        pointers, dtype = self._floats("conv2d_wgrad_db", x, dy, *out)
        shapes = (x.shape, out[0].shape, dy.shape)
        wanted = self._module.conv_wgrad_db_workspace_bytes(*shapes, dtype)
        scratch = self._workspace("conv2d_wgrad_db", workspace, wanted)
        self._module.conv_wgrad_db(
            *pointers, *shapes, stride, pad, groups, self._address(scratch), dtype, self._where()
        )  # fmt: skip

    def conv2d_wgrad_sgd(
        self, x: Array, dy: Array, w: Array, v: Array, b: Array | None, b_v: Array | None, *, stride: Pair, pad: Pair,
        groups: int, lr: float, momentum: float, weight_decay: float, b_lr: float, b_weight_decay: float,
        w_bf16: Array | None, state: Array | None, workspace: Array | None,
    ) -> None:  # fmt: skip
        (x_ptr, dy_ptr), dtype = self._floats("conv2d_wgrad_sgd", x, dy)
        shapes = (x.shape, w.shape, dy.shape)
        aligned = self._aligned(x, dy, workspace)
        wanted = self._module.conv_wgrad_sgd_workspace_bytes(*shapes, aligned, dtype)
        scratch = self._workspace("conv2d_wgrad_sgd", workspace, wanted, aligned)
        filters, bias = (tuple(map(self._address, arrays)) for arrays in ((w, v, w_bf16), (b, b_v, None)))
        state_ptr = self._address(state)
        rates, b_rates = (state_ptr, lr, momentum, weight_decay), (state_ptr, b_lr, momentum, b_weight_decay)
        self._module.conv_wgrad_sgd(
            x_ptr, dy_ptr, filters, bias, rates, b_rates, *shapes, stride, pad, groups, self._address(scratch), dtype,
            self._where(),
        )  # fmt: skip

    def bias_grad(self, dy: Array, *, out: Array, workspace: Array | None) -> None:
        pointers, dtype = self._floats("bias_grad", dy, out)
        rows = (dy.shape[0], dy.size // dy.shape[0])
        scratch = self._workspace("bias_grad", workspace, self._module.bias_grad_workspace_bytes(*rows, dtype))
        self._module.bias_grad(*pointers, *rows, self._address(scratch), dtype, self._where())


def wgrad_workspace_bytes(module: Any, x: Sequence[int], dy: Sequence[int], dw: Sequence[int], dtype: str) -> int:
    return int(module.conv_wgrad_workspace_bytes(x, dw, dy, dtype))


def wgrad_db_workspace_bytes(module: Any, x: Sequence[int], dy: Sequence[int], dw: Sequence[int], dtype: str) -> int:
    return int(module.conv_wgrad_db_workspace_bytes(x, dw, dy, dtype))


def wgrad_sgd_workspace_bytes(module: Any, x: Sequence[int], dy: Sequence[int], w: Sequence[int], dtype: str) -> int:
    return int(module.conv_wgrad_sgd_workspace_bytes(x, w, dy, True, dtype))


def is_wgrad_sgd_fused(module: Any, x: Sequence[int], dy: Sequence[int], w: Sequence[int], dtype: str) -> bool:
    return bool(module.is_conv_wgrad_sgd_fused(x, w, dy, True, dtype))


def bias_grad_workspace_bytes(module: Any, dy: Sequence[int], db: Sequence[int], dtype: str) -> int:
    return int(module.bias_grad_workspace_bytes(db[0], math.prod(dy) // db[0], dtype))
