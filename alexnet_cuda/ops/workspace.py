"""How much scratch memory an operation wants, known before anything runs."""

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
    if backend in ("reference", "cpu"):
        return 0
    if np.dtype(dtype) not in (FLOAT32, BFLOAT16):
        name = np.dtype(dtype).name
        raise TypeError(f"workspace_bytes: backend '{backend}' computes in float32 and bfloat16, got {name}")
    wanted = {"bias_grad": 2}.get(op, 3)
    if len(shapes) != wanted:
        raise ValueError(f"workspace_bytes: got {len(shapes)} shapes for {op}, wanted {wanted}, the result's last")
    module = _module(backend, np.dtype(dtype))
    return SPLIT_REDUCTIONS[op](module, *(tuple(shape) for shape in shapes), np.dtype(dtype).name)


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
