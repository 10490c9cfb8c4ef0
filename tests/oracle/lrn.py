"""Local response normalisation, across channels and within one; backward goes through the explicit Jacobian.

`params` is alpha=1e-4, beta=0.75 and k=2.0.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, Shape, f64

Site = tuple[Any, ...]
Windows = Iterator[tuple[Site, list[Site]]]
ALL = slice(None)  # windows of channels look alike at every pixel, windows of pixels in every channel


def _channel_windows(shape: Shape, size: int, groups: int) -> Windows:
    """Yield each channel and its window: channels [c - size//2, c - size//2 + size) of c's group."""
    if groups < 1 or shape[0] % groups:
        raise ValueError(f"{groups} groups do not divide {shape[0]} channels")
    per_group = shape[0] // groups
    for c in range(shape[0]):
        window = range(c - size // 2, c - size // 2 + size)
        yield (c,), [(j,) for j in window if j // per_group == c // per_group]


def _map_windows(shape: Shape, size: int) -> Windows:
    """Yield each pixel and its window: rows [h - size//2, h - size//2 + size) of the map, columns likewise."""
    for h, w in np.ndindex(*shape[1:3]):
        rows = [i for i in range(h - size // 2, h - size // 2 + size) if 0 <= i < shape[1]]
        cols = [j for j in range(w - size // 2, w - size // 2 + size) if 0 <= j < shape[2]]
        yield (ALL, h, w), [(ALL, i, j) for i in rows for j in cols]


def _scale(x: Array, window: list[Site], alpha: float, k: float) -> Array:
    """s_i = k + alpha * sum_{j in window(i)} x_j^2."""
    total = np.zeros(x[window[0]].shape)
    for j in window:
        total += x[j] * x[j]
    return k + alpha * total


def _forward(x: Array, sites: Windows, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> Array:
    """y_i = x_i * s_i^-beta."""
    y = np.zeros(x.shape)
    for i, window in sites:
        y[i] = x[i] * _scale(x, window, alpha, k) ** -beta
    return y


def _backward(
    x: Array,
    dy: Array,
    sites: Windows,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 2.0,
) -> Array:
    """dx_j = sum_i dy_i * d y_i / d x_j, scattered from i:

    d y_i / d x_j = [i == j] * s_i^-beta + x_i * (-beta) * s_i^-beta / s_i * 2 * alpha * x_j, j in window(i).
    """
    dx = np.zeros(x.shape)
    for i, window in sites:
        s = _scale(x, window, alpha, k)
        power = s**-beta
        through_scale = x[i] * -beta * power / s
        dx[i] += dy[i] * power
        for j in window:
            dx[j] += dy[i] * through_scale * (2 * alpha * x[j])
    return dx


def lrn(x: ArrayLike, *, size: int = 5, groups: int = 1, **params: float) -> Array:
    """y_c = x_c * (k + alpha * sum_{j in window(c)} x_j^2)^-beta; the window stays in the channel's group."""
    x = f64(x)
    return _forward(x, _channel_windows(x.shape, size, groups), **params)


def lrn_backward(x: ArrayLike, dy: ArrayLike, *, size: int = 5, groups: int = 1, **params: float) -> Array:
    """dx_j = sum_i dy_i * d y_i / d x_j of `lrn`."""
    x = f64(x)
    return _backward(x, f64(dy, x.shape), _channel_windows(x.shape, size, groups), **params)


def lrn_within_channel(x: ArrayLike, *, size: int = 5, **params: float) -> Array:
    """y = x * (k + alpha * sum of x^2 over a size x size window of the same map)^-beta."""
    x = f64(x)
    return _forward(x, _map_windows(x.shape, size), **params)


def lrn_within_channel_backward(x: ArrayLike, dy: ArrayLike, *, size: int = 5, **params: float) -> Array:
    """dx_j = sum_i dy_i * d y_i / d x_j of `lrn_within_channel`."""
    x = f64(x)
    return _backward(x, f64(dy, x.shape), _map_windows(x.shape, size), **params)
