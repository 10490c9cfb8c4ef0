"""Stochastic gradient descent with momentum, as AlexNet was trained."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry import Array, f64


def sgd_momentum(
    w: ArrayLike,
    v: ArrayLike,
    dw: ArrayLike,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    state: NDArray[np.uint32] | None = None,
) -> tuple[Array, Array]:
    """(w, v) after v = momentum*v - weight_decay*lr*w - lr*dw, then w = w + v; the arguments are left alone.

    state = uint32 [step, ok, bits of float32 lr_scale]: lr is multiplied by lr_scale; ok = 0 changes nothing.
    """
    w = f64(w).copy()
    v, dw = f64(v, w.shape).copy(), f64(dw, w.shape)
    if state is not None:
        if state[1] == 0:
            return w, v
        lr = lr * float(np.array([state[2]], dtype=np.uint32).view(np.float32)[0])
    for i in np.ndindex(*w.shape[:-1]):
        v[i] = momentum * v[i] - weight_decay * lr * w[i] - lr * dw[i]
        w[i] = w[i] + v[i]
    return w, v
