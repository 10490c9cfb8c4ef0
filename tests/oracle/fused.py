"""Gradients of parameters together, and with their update behind them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .conv import bias_grad, conv2d_wgrad
from .geometry import Array, f64
from .sgd import sgd_momentum


def conv2d_wgrad_db(x: ArrayLike, dy: ArrayLike, w_shape: tuple[int, ...], **geometry: Any) -> tuple[Array, Array]:
    """(dw, db)."""
    return conv2d_wgrad(x, dy, w_shape, **geometry), bias_grad(dy)


def conv2d_wgrad_sgd(
    x: ArrayLike, dy: ArrayLike, w: ArrayLike, v: ArrayLike, b: ArrayLike, b_v: ArrayLike, *, lr: float,
    momentum: float, weight_decay: float, b_lr: float, b_weight_decay: float, state: Any = None, **geometry: Any,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """(w, v, b, b_v)."""
    dw, db = conv2d_wgrad_db(x, dy, f64(w).shape, **geometry)
    after = sgd_momentum(w, v, dw, lr=lr, momentum=momentum, weight_decay=weight_decay, state=state)
    return *after, *sgd_momentum(b, b_v, db, lr=b_lr, momentum=momentum, weight_decay=b_weight_decay, state=state)


def gemm_sgd(x: ArrayLike, dy: ArrayLike, w: ArrayLike, v: ArrayLike, **rates: Any) -> tuple[Array, Array]:
    """(w, v): dw[i, o] is the sum over images of x[i, n] * dy[o, n]."""
    x, dy = f64(x), f64(dy)
    dw = np.zeros((x.shape[0], dy.shape[0]))
    for n in range(x.shape[1]):
        dw += np.outer(x[:, n], dy[:, n])
    return sgd_momentum(w, v, dw, **rates)
