"""How much scratch memory an operation wants, known before anything runs."""

from collections.abc import Sequence

import numpy as np

from . import backends

SPLIT_REDUCTIONS = ("bias_grad", "conv2d_wgrad", "gemm")


def workspace_bytes(op: str, *shapes: Sequence[int], dtype: np.dtype | type | str, backend: str) -> int:
    """Bytes of the `workspace=` that `op` takes for array arguments of these shapes and dtype; pure.

    op: "bias_grad", "conv2d_wgrad" or "gemm"; shapes: those of its array arguments, results last; backend:
    "reference", "cpu" (0: NumPy allocates for itself), "emulated" or "cuda".
    Raises ValueError for an unknown op or backend, NotImplementedError where the backend has no such kernel yet.
    """
    if op not in SPLIT_REDUCTIONS:
        raise ValueError(f"workspace_bytes: got {op!r}, wanted one of {', '.join(SPLIT_REDUCTIONS)}")
    if backend not in backends.BACKENDS:
        raise ValueError(f"workspace_bytes: got backend {backend!r}, wanted one of {', '.join(backends.BACKENDS)}")
    if backend in ("reference", "cpu"):
        return 0
    raise NotImplementedError(f"{op}: backend '{backend}' has no kernel for it yet; use the backend 'cpu'")
