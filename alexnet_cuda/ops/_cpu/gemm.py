"""The matrix product; where widening or a second operand asks for temporaries, some rows at a time."""

import numpy as np

from .chunks import CHUNK, Scratch, even, wide_dtype


@np.errstate(all="ignore")
def gemm(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, *, trans_a: bool, trans_b: bool, alpha: float, beta: float,
    relu: bool, out: np.ndarray, workspace: object = None,
) -> None:  # fmt: skip
    dtype = wide_dtype(a.dtype)
    a = a.T if trans_a else a
    b = (b.T if trans_b else b).astype(dtype, copy=False)
    in_place = out.dtype == dtype and beta == 0
    M, K = a.shape
    most_rows = M if in_place and a.dtype == dtype else max(16 * CHUNK // max(K, b.shape[1]), 64)
    scratch = Scratch()
    for rows in even(M, most_rows):
        c = out[rows] if in_place else scratch.take("c", out[rows].shape, dtype)
        np.matmul(a[rows].astype(dtype, copy=False), b, out=c)
        if alpha != 1:
            c *= alpha
        if beta != 0:
            c += beta * out[rows].astype(dtype, copy=False)
        if bias is not None:
            c += bias[rows, None]
        if relu:
            np.maximum(c, 0, out=c)  # unlike fmax, lets NaN pass
            c += 0.0  # makes -0 into +0
        if not in_place:
            out[rows] = c
