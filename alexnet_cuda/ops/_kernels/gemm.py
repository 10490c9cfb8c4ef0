"""The matrix product."""

import math
from collections.abc import Sequence
from typing import Any

from ..arrays import Array
from .base import Base


class Gemm(Base):
    def gemm(
        self, a: Array, b: Array, bias: Array | None, *, trans_a: bool, trans_b: bool, relu: bool, alpha: float,
        beta: float, out: Array, workspace: Array | None,
    ) -> None:  # fmt: skip
        pointers, dtype = self._floats("gemm", a, b, out)
        sizes = gemm_sizes(a.shape, out.shape)
        scratch = self._workspace("gemm", workspace, self._module.gemm_workspace_bytes(sizes, dtype))
        self._module.gemm(
            *pointers, sizes, trans_a, trans_b, alpha, beta, self._address(bias), relu, self._address(scratch),
            dtype, out.dtype.name, self._where(),
        )  # fmt: skip

    def gemm_sgd(
        self, x: Array, dy: Array, w: Array, v: Array, *, lr: float, momentum: float, weight_decay: float,
        w_bf16: Array | None, state: Array | None, workspace: Array | None,
    ) -> None:  # fmt: skip
        (x_ptr, dy_ptr), dtype = self._floats("gemm_sgd", x, dy)
        sizes = (*w.shape, x.shape[1])
        aligned = self._aligned(x, dy, w, v, w_bf16)
        wanted = self._module.gemm_sgd_workspace_bytes(sizes, aligned, dtype)
        scratch = self._workspace("gemm_sgd", workspace, wanted, aligned)
        weights, rates = tuple(map(self._address, (w, v, w_bf16))), (self._address(state), lr, momentum, weight_decay)
        self._module.gemm_sgd(
            x_ptr, dy_ptr, weights, rates, sizes, self._address(scratch), dtype, self._where()
        )  # fmt: skip


def gemm_sizes(a: Sequence[int], c: Sequence[int]) -> tuple[int, int, int]:
    """M, N and K of a product from the shapes of its first factor, transposed or not, and its result."""
    return c[0], c[1], math.prod(a) // c[0]


def gemm_workspace_bytes(module: Any, a: Sequence[int], b: Sequence[int], c: Sequence[int], dtype: str) -> int:
    return int(module.gemm_workspace_bytes(gemm_sizes(a, c), dtype))


def gemm_sgd_workspace_bytes(module: Any, x: Sequence[int], dy: Sequence[int], w: Sequence[int], dtype: str) -> int:
    return int(module.gemm_sgd_workspace_bytes((*w, x[1]), True, dtype))


def is_gemm_sgd_fused(module: Any, x: Sequence[int], dy: Sequence[int], w: Sequence[int], dtype: str) -> bool:
    return bool(module.is_gemm_sgd_fused((*w, x[1]), True, dtype))
