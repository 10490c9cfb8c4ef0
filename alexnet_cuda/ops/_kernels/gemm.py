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


def gemm_sizes(a: Sequence[int], c: Sequence[int]) -> tuple[int, int, int]:
    """M, N and K of a product from the shapes of its first factor, transposed or not, and its result."""
    return c[0], c[1], math.prod(a) // c[0]


def gemm_workspace_bytes(module: Any, a: Sequence[int], b: Sequence[int], c: Sequence[int], dtype: str) -> int:
    return int(module.gemm_workspace_bytes(gemm_sizes(a, c), dtype))
