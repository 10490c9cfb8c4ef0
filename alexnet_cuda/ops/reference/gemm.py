"""The matrix product."""

import numpy as np

from .common import wide


def gemm(a, b, bias, *, trans_a, trans_b, alpha, beta, relu, out, workspace=None):
    a, b = wide(a), wide(b)
    c = alpha * ((a.T if trans_a else a) @ (b.T if trans_b else b))
    if beta != 0:
        c += beta * wide(out)
    if bias is not None:
        c += bias[:, None]
    out[...] = np.where(c <= 0, 0, c) if relu else c
