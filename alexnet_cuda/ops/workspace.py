"""How much scratch memory an operation wants, and whether it is one pass: known before anything runs."""

import math
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import config
from ..errors import DeviceError
from . import backends
from ._kernels.conv import (
    bias_grad_workspace_bytes,
    is_wgrad_sgd_fused,
    wgrad_db_workspace_bytes,
    wgrad_sgd_workspace_bytes,
    wgrad_workspace_bytes,
)
from ._kernels.gemm import gemm_sgd_workspace_bytes, gemm_workspace_bytes, is_gemm_sgd_fused
from .arrays import BFLOAT16, FLOAT32

# Of a compiled module, the shapes of an operation's array arguments and result, and the dtype of the arguments.
SPLIT_REDUCTIONS: dict[str, Callable[..., int]] = {
    "bias_grad": bias_grad_workspace_bytes,
    "conv2d_wgrad": wgrad_workspace_bytes,
    "conv2d_wgrad_db": wgrad_db_workspace_bytes,
    "conv2d_wgrad_sgd": wgrad_sgd_workspace_bytes,
    "gemm": gemm_workspace_bytes,
    "gemm_sgd": gemm_sgd_workspace_bytes,
}
UPDATES: dict[str, Callable[..., bool]] = {"conv2d_wgrad_sgd": is_wgrad_sgd_fused, "gemm_sgd": is_gemm_sgd_fused}
_CONVOLUTION = "x [C, H, W, N], dy [K, P, Q, N], {} [C/groups, R, S, K]"
WANTED = {
    "bias_grad": "dy [K, P, Q, N] or [K, N], db [K]",
    "conv2d_wgrad": _CONVOLUTION.format("dw"),
    "conv2d_wgrad_db": _CONVOLUTION.format("dw"),
    "conv2d_wgrad_sgd": _CONVOLUTION.format("w"),
    "gemm": "a [M, K] and b [K, N], transposed or not, c [M, N]",
    "gemm_sgd": "x [inputs, N], dy [outputs, N], w [inputs, outputs]",
}


def workspace_bytes(op: str, *shapes: Sequence[int], dtype: np.dtype | type | str, backend: str) -> int:
    """Bytes of the `workspace=` that `op` takes for array arguments of these shapes and dtype; nothing runs.

    op: "bias_grad" (dy, db), "conv2d_wgrad" or "conv2d_wgrad_db" (x, dy, dw), "gemm" (a, b, c), "conv2d_wgrad_sgd" or
    "gemm_sgd" (x, dy, w); shapes: those of its array arguments without biases and momenta, the result last. backend:
    "reference", "cpu" (0: NumPy allocates for itself), "emulated" or "cuda" (for the current GPU; in float32 without
    asking it). For the last two operations all arrays and the workspace are taken to lie at multiples of 16 bytes, as
    NumPy and CuPy allocate them; others need room for a gradient.

    An operation without `workspace=` allocates one for itself, so this is for callers that must not allocate: while a
    CUDA graph is captured, say. Raises ValueError for an unknown op or backend and for shapes that no call could have,
    TypeError for a dtype that the backend does not compute in, DeviceError where the backend is not there.
    """
    return _asked("workspace_bytes", SPLIT_REDUCTIONS, op, shapes, np.dtype(dtype), backend) or 0


def is_fused(op: str, *shapes: Sequence[int], dtype: np.dtype | type | str, backend: str) -> bool:
    """Whether an update along with its gradient is one pass there, which never writes the gradient; nothing runs.

    op: "conv2d_wgrad_sgd" or "gemm_sgd". The rest, and what is raised, is that of `workspace_bytes`. False on NumPy's
    backends, in float32, and where the GPU's tensor cores do not take the shapes: the operation is as slow there as the
    two that it is made of.
    """
    return _asked("is_fused", UPDATES, op, shapes, np.dtype(dtype), backend) or False


def _asked(
    name: str, answers: dict[str, Callable[..., Any]], op: str, shapes: Sequence[Sequence[int]], dtype: np.dtype,
    backend: str,
) -> Any:  # fmt: skip
    """What a compiled module says of an operation of these shapes; None for NumPy's backends."""
    if op not in answers:
        raise ValueError(f"{name}: got {op!r}, wanted one of {', '.join(answers)}")
    if backend not in backends.BACKENDS:
        raise ValueError(f"{name}: got backend {backend!r}, wanted one of {', '.join(backends.BACKENDS)}")
    sizes = _sizes(name, op, shapes)
    if backend in ("reference", "cpu"):
        return None
    if dtype not in (FLOAT32, BFLOAT16):
        raise TypeError(f"{name}: backend '{backend}' computes in float32 and bfloat16, got {dtype.name}")
    return answers[op](_module(backend, dtype), *sizes, dtype.name)


def _sizes(name: str, op: str, shapes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The shapes as tuples of integers, if some call could have them: what comes after divides by sizes."""
    wanted = {"bias_grad": 2}.get(op, 3)
    if len(shapes) != wanted:
        raise ValueError(f"{name}: got {len(shapes)} shapes for {op}, wanted {wanted}, the result's last")
    try:
        sizes = [tuple(operator.index(size) for size in shape) for shape in shapes]
    except TypeError:
        sizes = []
    if not (sizes and all(map(_possible, sizes)) and _fit(op, sizes)):
        got = ", ".join(repr(shape) for shape in shapes)
        raise ValueError(f"{name}: got the shapes {got} for {op}, which do not fit each other; wanted {WANTED[op]}")
    return sizes


def _possible(shape: tuple[int, ...]) -> bool:
    return all(size >= 1 for size in shape) and math.prod(shape) <= sys.maxsize


def _fit(op: str, shapes: Sequence[tuple[int, ...]]) -> bool:
    ranks = [len(shape) for shape in shapes]
    if op == "bias_grad":
        dy, db = shapes
        return ranks in ([2, 1], [4, 1]) and dy[0] == db[0]
    if op.startswith("conv2d_wgrad"):
        x, dy, dw = shapes
        return ranks == [4, 4, 4] and x[0] % dw[0] == 0 and dy[0] == dw[3] and x[3] == dy[3]
    if op == "gemm_sgd":
        x, dy, w = shapes
        return ranks == [2, 2, 2] and w == (x[0], dy[0]) and x[1] == dy[1]
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
