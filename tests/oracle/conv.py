"""Convolution: forward gathers, dgrad scatters, wgrad accumulates position by position.

Loops run over positions and taps; channels, filters and images of one position are a small matrix product.

`geometry` is stride=1, pad=0 and ceil_mode=False, as in `geometry.windows`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, Shape, f64, out_shape, windows
from .pointwise import relu as rectify

Index = tuple[Any, ...]


def _y_shape(x_shape: Shape, w_shape: Shape, geometry: dict[str, Any]) -> Shape:
    """[K, P, Q, N]."""
    return (w_shape[3], *out_shape(x_shape[1:3], w_shape[1:3], **geometry), x_shape[3])


def _products(
    x_shape: Shape, w_shape: Shape, groups: int, geometry: dict[str, Any]
) -> Iterator[tuple[Index, Index, Index]]:
    """Yield every (i, j, t) with products in y[i] += w[t].T @ x[j]: i = (k, p, q), j = (c, row, col), t = (:, r, s, k).

    c and k are the slices of all channels and all filters of one group: filter k belongs to group k // (K/groups)
    and sees the channels [group * C/groups, (group + 1) * C/groups). Taps outside the image have no product.
    """
    (c_count, k_count), c_per_group = (x_shape[0], w_shape[3]), w_shape[0]
    if groups < 1 or k_count % groups or c_per_group * groups != c_count:
        raise ValueError(f"{groups} groups do not fit {c_count} channels, filters {w_shape}")
    k_per_group = k_count // groups
    for p, q, taps in windows(x_shape[1:3], w_shape[1:3], **geometry):
        for group in range(groups):
            c = slice(group * c_per_group, (group + 1) * c_per_group)
            k = slice(group * k_per_group, (group + 1) * k_per_group)
            for r, s, row, col in taps:
                yield (k, p, q), (c, row, col), (slice(None), r, s, k)


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    groups: int = 1,
    relu: bool = False,
    **geometry: Any,
) -> Array:
    """y[k,p,q,n] = b[k] + sum over c in group(k), r, s of x[c, row, col, n] * w[c_local, r, s, k].

    row = p*stride_h - pad_top + r, col = q*stride_w - pad_left + s; relu comes after the bias.
    """
    x, w = f64(x), f64(w)
    y = np.zeros(_y_shape(x.shape, w.shape, geometry))
    if b is not None:
        y += f64(b, (w.shape[3],))[:, None, None, None]
    for i, j, t in _products(x.shape, w.shape, groups, geometry):
        y[i] += w[t].T @ x[j]
    return rectify(y) if relu else y


def conv2d_dgrad(
    dy: ArrayLike,
    w: ArrayLike,
    x_shape: Shape,
    *,
    groups: int = 1,
    relu_y: ArrayLike | None = None,
    **geometry: Any,
) -> Array:
    """Each dy[k,p,q,n] adds dy * w[c_local,r,s,k] to the pixel dx[c,row,col,n] which that tap read.

    Then dx = 0 where relu_y <= 0 (a NaN in relu_y lets dx through).
    """
    w, dx = f64(w), np.zeros(x_shape)
    dy = f64(dy, _y_shape(x_shape, w.shape, geometry))
    for i, j, t in _products(x_shape, w.shape, groups, geometry):
        dx[j] += w[t] @ dy[i]
    if relu_y is not None:
        dx[f64(relu_y, x_shape) <= 0] = 0
    return dx


def conv2d_wgrad(x: ArrayLike, dy: ArrayLike, w_shape: Shape, *, groups: int = 1, **geometry: Any) -> Array:
    """dw[c_local,r,s,k] = sum_{p,q,n} dy[k,p,q,n] * x[c, p*sh - top + r, q*sw - left + s, n]."""
    x, dw = f64(x), np.zeros(w_shape)
    dy = f64(dy, _y_shape(x.shape, w_shape, geometry))
    for i, j, t in _products(x.shape, w_shape, groups, geometry):
        dw[t] += x[j] @ dy[i].T
    return dw


def bias_grad(dy: ArrayLike) -> Array:
    """db[k] = sum of dy[k, ...] over positions and images; dy is [K,P,Q,N] or [K,N]."""
    dy = f64(dy)
    db = np.zeros(dy.shape[0])
    for index in np.ndindex(*dy.shape[:-1]):
        db[index[0]] += dy[index].sum()
    return db
