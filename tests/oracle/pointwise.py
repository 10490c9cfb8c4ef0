"""Operations on one element at a time; the backward forms take the forward output y."""

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, f64


def relu(x: ArrayLike) -> Array:
    """y = 0 where x <= 0, otherwise x; a NaN stays."""
    y = f64(x).copy()
    y[y <= 0] = 0
    return y


def relu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = 0 where y <= 0, otherwise dy; selected, so inf in dy cannot turn into NaN."""
    dx = f64(dy).copy()
    dx[f64(y) <= 0] = 0
    return dx


def tanh(x: ArrayLike) -> Array:
    """y = tanh(x)."""
    return np.tanh(f64(x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * (1 - y^2), as dy * (1 - y) * (1 + y)."""
    return f64(dy) * (1 - f64(y)) * (1 + f64(y))


def sigmoid(x: ArrayLike) -> Array:
    """y = 1 / (1 + e^-x); for negative x as e^x / (1 + e^x), which cannot overflow."""
    small = np.exp(-np.abs(f64(x)))
    return np.where(f64(x) >= 0, 1.0, small) / (1 + small)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * y * (1 - y)."""
    return f64(dy) * f64(y) * (1 - f64(y))


def add(a: ArrayLike, b: ArrayLike) -> Array:
    """a + b."""
    return f64(a) + f64(b)


def scale(x: ArrayLike, factor: float) -> Array:
    """y = factor * x."""
    return factor * f64(x)
