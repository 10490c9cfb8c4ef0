"""Gradients without calculus."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, f64


def central_differences(f: Callable[[Array], ArrayLike], x: ArrayLike, dy: ArrayLike) -> Array:
    """d sum(dy * f(x)) / d x_i = sum(dy * (f(x + step*e_i) - f(x - step*e_i))) / (2 * step), for every i."""
    x, dy, step = f64(x), f64(dy), 1e-5
    dx = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        dx[i] = (dy * (f64(f(up)) - f64(f(down)))).sum() / (2 * step)
    return dx
