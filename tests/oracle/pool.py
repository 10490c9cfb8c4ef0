"""Max and average pooling; padding counts as nothing.

`geometry` is pad=0 and ceil_mode=False, as in `geometry.windows`.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry import Array, Pair, Shape, f64, out_shape, pair, windows

Taps = NDArray[np.unsignedinteger[Any]]


def max_pool(x: ArrayLike, *, size: Pair = 3, stride: Pair = 2, **geometry: Any) -> tuple[Array, Taps]:
    """y = maximum of the window's real pixels; arg = r*S + s of the first one in (r, s) raster order.

    A NaN beats every number and the first NaN wins. arg is uint8 when R*S <= 256 and uint16 otherwise.
    """
    x, (r_count, s_count) = f64(x), pair(size)
    c_count, image, n_count = x.shape[0], x.shape[1:3], x.shape[3]
    y = np.zeros((c_count, *out_shape(image, size, stride=stride, **geometry), n_count))
    arg = np.zeros(y.shape, dtype=np.uint8 if r_count * s_count <= 256 else np.uint16)
    for p, q, taps in windows(image, size, stride=stride, **geometry):
        for c in range(c_count):
            r, s, row, col = taps[0]
            best, best_tap = x[c, row, col, :].copy(), np.full(n_count, r * s_count + s)
            for r, s, row, col in taps[1:]:
                value = x[c, row, col, :]
                wins = (value > best) | (np.isnan(value) & ~np.isnan(best))
                best[wins] = value[wins]
                best_tap[wins] = r * s_count + s
            y[c, p, q, :], arg[c, p, q, :] = best, best_tap
    return y, arg


def max_pool_backward(
    dy: ArrayLike, arg: ArrayLike, x_shape: Shape, *, size: Pair = 3, stride: Pair = 2, **geometry: Any
) -> Array:
    """Each dy[c,p,q,n] is added to the pixel that arg = r*S + s names, (row, col) of `windows`.

    KeyError when arg names a tap outside the image.
    """
    c_count, image, n_count = x_shape[0], x_shape[1:3], x_shape[3]
    dy = f64(dy, (c_count, *out_shape(image, size, stride=stride, **geometry), n_count))
    arg, dx, s_count = np.asarray(arg), np.zeros(x_shape), pair(size)[1]
    for p, q, taps in windows(image, size, stride=stride, **geometry):
        pixel = {r * s_count + s: (row, col) for r, s, row, col in taps}
        for c, n in np.ndindex(c_count, n_count):
            row, col = pixel[int(arg[c, p, q, n])]
            dx[c, row, col, n] += dy[c, p, q, n]
    return dx


def avg_pool(x: ArrayLike, *, size: Pair = 3, stride: Pair = 2, **geometry: Any) -> Array:
    """y = sum of the window's real pixels / number of real pixels."""
    x = f64(x)
    c_count, image, n_count = x.shape[0], x.shape[1:3], x.shape[3]
    y = np.zeros((c_count, *out_shape(image, size, stride=stride, **geometry), n_count))
    for p, q, taps in windows(image, size, stride=stride, **geometry):
        for c in range(c_count):
            for _, _, row, col in taps:
                y[c, p, q, :] += x[c, row, col, :]
            y[c, p, q, :] /= len(taps)
    return y


def avg_pool_backward(
    dy: ArrayLike,
    x_shape: Shape,
    *,
    size: Pair = 3,
    stride: Pair = 2,
    **geometry: Any,
) -> Array:
    """Each dy[c,p,q,n] adds dy / (number of real pixels) to every real pixel of its window."""
    c_count, image, n_count = x_shape[0], x_shape[1:3], x_shape[3]
    dy = f64(dy, (c_count, *out_shape(image, size, stride=stride, **geometry), n_count))
    dx = np.zeros(x_shape)
    for p, q, taps in windows(image, size, stride=stride, **geometry):
        for c in range(c_count):
            for _, _, row, col in taps:
                dx[c, row, col, :] += dy[c, p, q, :] / len(taps)
    return dx
