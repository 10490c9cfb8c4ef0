"""How much scratch memory an operation wants, known before anything runs."""

import math
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import config
from ..errors import DeviceError
from . import backends
from ._kernels.conv import bias_grad_workspace_bytes, wgrad_workspace_bytes
from ._kernels.gemm import gemm_workspace_bytes
from .arrays import BFLOAT16, FLOAT32

# Of a compiled module, the shapes of an operation's array arguments and result, and the dtype of the arguments.
SPLIT_REDUCTIONS: dict[str, Callable[..., int]] = {
    "bias_grad": bias_grad_workspace_bytes,
    "conv2d_wgrad": wgrad_workspace_bytes,
    "gemm": gemm_workspace_bytes,
}
WANTED = {
    "bias_grad": "dy [K, P, Q, N] or [K, N], db [K]",
    "conv2d_wgrad": "x [C, H, W, N], dy [K, P, Q, N], dw [C/groups, R, S, K]",
    "gemm": "a [M, K] and b [K, N], transposed or not, c [M, N]",
}


def workspace_bytes(op: str, *shapes: Sequence[int], dtype: np.dtype | type | str, backend: str) -> int:
    """Bytes of the `workspace=` that `op` takes for array arguments of these shapes and dtype; nothing runs.

    op: "bias_grad" (dy, db), "conv2d_wgrad" (x, dy, dw) or "gemm" (a, b, c); shapes: those of its array arguments
    without biases, the result last. backend: "reference", "cpu" (0: NumPy allocates for itself), "emulated" or "cuda"
    (for the current GPU; in float32 without asking it).

    An operation without `workspace=` allocates one for itself, so this is for callers that must not allocate: while a
    CUDA graph is captured, say. Raises ValueError for an unknown op or backend and for shapes that no call could have,
    TypeError for a dtype that the backend does not compute in, DeviceError where the backend is not there.
    """
    if op not in SPLIT_REDUCTIONS:
        raise ValueError(f"workspace_bytes: got {op!r}, wanted one of {', '.join(SPLIT_REDUCTIONS)}")
    if backend not in backends.BACKENDS:
        raise ValueError(f"workspace_bytes: got backend {backend!r}, wanted one of {', '.join(backends.BACKENDS)}")
    sizes = _sizes(op, shapes)
    if backend in ("reference", "cpu"):
        return 0
    if np.dtype(dtype) not in (FLOAT32, BFLOAT16):
        name = np.dtype(dtype).name
        raise TypeError(f"workspace_bytes: backend '{backend}' computes in float32 and bfloat16, got {name}")
    module = _module(backend, np.dtype(dtype))
    return SPLIT_REDUCTIONS[op](module, *sizes, np.dtype(dtype).name)


def _sizes(op: str, shapes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The shapes as tuples of integers, if some call could have them: what comes after divides by sizes."""
    wanted = {"bias_grad": 2}.get(op, 3)
    if len(shapes) != wanted:
        raise ValueError(f"workspace_bytes: got {len(shapes)} shapes for {op}, wanted {wanted}, the result's last")
    try:
        sizes = [tuple(operator.index(size) for size in shape) for shape in shapes]
    except TypeError:
        sizes = []
    if not (sizes and all(map(_possible, sizes)) and _fit(op, sizes)):
        got = ", ".join(repr(shape) for shape in shapes)
        raise ValueError(
            f"workspace_bytes: got the shapes {got} for {op}, which do not fit each other; wanted {WANTED[op]}"
        )
    return sizes


def _possible(shape: tuple[int, ...]) -> bool:
    return all(size >= 1 for size in shape) and math.prod(shape) <= sys.maxsize


def _fit(op: str, shapes: Sequence[tuple[int, ...]]) -> bool:
    ranks = [len(shape) for shape in shapes]
    if op == "bias_grad":
        dy, db = shapes
        return ranks in ([2, 1], [4, 1]) and dy[0] == db[0]
    if op == "conv2d_wgrad":
        x, dy, dw = shapes
        return ranks == [4, 4, 4] and x[0] % dw[0] == 0 and dy[0] == dw[3] and x[3] == dy[3]
    a, b, c = shapes
    if ranks != [2, 2, 2]:
        return False
    M, N, K = c[0], c[1], math.prod(a) // c[0]
    return (M, K) in (a, a[::-1]) and (K, N) in (b, b[::-1])


def _module(backend: str, dtype: np.dtype) -> Any:
    """In float32 both modules decide alike, and the emulator's is there where any is; in bfloat16 the GPU matters."""
    if backend == "cuda" and dtype == BFLOAT16:
        if problem := config.cuda_problem():
            raise DeviceError(problem)
        return config.load("_cuda")[0]
    module, problem = config.load("_emulated")
    if module is None:
        raise DeviceError(f"the compiled kernels are not there: {problem}")
    return module
