"""The matrix product."""

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, f64
from .pointwise import relu as rectify


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    relu: bool = False,
) -> Array:
    """y[m,n] = relu(alpha * sum_k op(a)[m,k] * op(b)[k,n] + beta * c[m,n] + bias[m]).

    `c` is what the public operation finds in `out`. With beta = 0 it is not read, NaN or not.
    """
    a = f64(a).T if trans_a else f64(a)
    b = f64(b).T if trans_b else f64(b)
    (m_count, k_count), n_count = a.shape, b.shape[1]
    b = f64(b, (k_count, n_count))
    y = np.zeros((m_count, n_count))
    for k in range(k_count):
        y += a[:, k, None] * b[None, k, :]
    y *= alpha
    if beta != 0:
        if c is None:
            raise ValueError("beta needs c")
        y += beta * f64(c, y.shape)
    if bias is not None:
        y += f64(bias, (m_count,))[:, None]
    return rectify(y) if relu else y
