"""Pooling by maximum and by mean."""

import numpy as np

from .common import wide
from .windows import interior, is_pixel, padded, padded_shape, seen_by_tap, taps


def max_pool(x, *, size, stride, pad, out, arg):
    """out = maximum of the window's pixels; arg = r*S + s of the first one. The first NaN, if any, wins."""
    outputs = out.shape[1:3]
    xp = padded(x, size, outputs, stride, pad)
    pixel = is_pixel(x.shape, size, outputs, stride, pad)
    best = np.zeros(out.shape, x.dtype)
    best_tap = np.full(out.shape, -1)
    for r, s in taps(size):
        seen = seen_by_tap(r, s, outputs, stride)
        candidate = xp[seen]
        better = (candidate > best) | (np.isnan(candidate) & ~np.isnan(best)) | (best_tap < 0)
        better &= pixel[seen]
        best = np.where(better, candidate, best)
        best_tap = np.where(better, r * size[1] + s, best_tap)
    out[...] = best
    if arg is not None:
        arg[...] = best_tap


def max_pool_backward(dy, arg, *, size, stride, pad, out):
    dy = wide(dy)
    outputs = dy.shape[1:3]
    dxp = np.zeros(padded_shape(out.shape, size, outputs, stride, pad), dy.dtype)
    for r, s in taps(size):
        dxp[seen_by_tap(r, s, outputs, stride)] += np.where(arg == r * size[1] + s, dy, 0)
    out[...] = dxp[interior(out.shape, pad)]


def _pixels_per_window(shape, size, outputs, stride, pad):
    pixel = is_pixel(shape, size, outputs, stride, pad)
    return sum(pixel[seen_by_tap(r, s, outputs, stride)].astype(np.int32) for r, s in taps(size))


def avg_pool(x, *, size, stride, pad, out):
    """Mean over the pixels inside the image: padding adds nothing to the sum nor to the divisor."""
    x = wide(x)
    outputs = out.shape[1:3]
    xp = padded(x, size, outputs, stride, pad)
    total = sum(xp[seen_by_tap(r, s, outputs, stride)] for r, s in taps(size))
    out[...] = total / _pixels_per_window(x.shape, size, outputs, stride, pad).astype(x.dtype)


def avg_pool_backward(dy, *, size, stride, pad, out):
    dy = wide(dy)
    outputs = dy.shape[1:3]
    share = dy / _pixels_per_window(out.shape, size, outputs, stride, pad).astype(dy.dtype)
    dxp = np.zeros(padded_shape(out.shape, size, outputs, stride, pad), dy.dtype)
    for r, s in taps(size):
        dxp[seen_by_tap(r, s, outputs, stride)] += share
    out[...] = dxp[interior(out.shape, pad)]
