"""Local response normalisation.

y = x * scale^-beta,   scale = k + alpha * (sum of x^2 over a window)

The window holds `size` channels (or size x size pixels) from `size // 2` before the centre on. Pixel i is in
the windows of those j that lie in the mirrored window, so the gradient sums over that one:
  dx_i = dy_i * scale_i^-beta - 2 * alpha * beta * x_i * sum_{j: i in window(j)} dy_j * x_j * scale_j^(-beta - 1)
"""

import numpy as np

from .common import group_slices, wide


def _window_sum(x, axis, size, *, mirrored=False):
    """Sum over `size` neighbours along an axis, clipped at its ends."""
    before = size - 1 - size // 2 if mirrored else size // 2
    width = [(0, 0)] * x.ndim
    width[axis] = (before, size - 1 - before)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, width), size, axis=axis)
    return windows.sum(axis=-1)


def _across_channels(x, size, groups, mirrored=False):
    parts = [_window_sum(x[cs], 0, size, mirrored=mirrored) for cs in group_slices(groups, x.shape[0])]
    return np.concatenate(parts)


def _across_map(x, size, mirrored=False):
    return _window_sum(_window_sum(x, 1, size, mirrored=mirrored), 2, size, mirrored=mirrored)


def _normalise(x, square_sum, alpha, beta, k):
    return x * (k + alpha * square_sum) ** -beta


def _normalise_backward(x, dy, square_sum, mirrored_sum, alpha, beta, k):
    scale = k + alpha * square_sum
    return dy * scale**-beta - 2 * alpha * beta * x * mirrored_sum(dy * x * scale ** (-beta - 1))


def lrn(x, *, size, alpha, beta, k, groups, out):
    x = wide(x)
    out[...] = _normalise(x, _across_channels(x * x, size, groups), alpha, beta, k)


def lrn_backward(x, dy, *, size, alpha, beta, k, groups, out):
    x, dy = wide(x), wide(dy)
    square_sum = _across_channels(x * x, size, groups)
    out[...] = _normalise_backward(
        x, dy, square_sum, lambda t: _across_channels(t, size, groups, mirrored=True), alpha, beta, k
    )


def lrn_within_channel(x, *, size, alpha, beta, k, out):
    x = wide(x)
    out[...] = _normalise(x, _across_map(x * x, size), alpha, beta, k)


def lrn_within_channel_backward(x, dy, *, size, alpha, beta, k, out):
    x, dy = wide(x), wide(dy)
    square_sum = _across_map(x * x, size)
    out[...] = _normalise_backward(x, dy, square_sum, lambda t: _across_map(t, size, mirrored=True), alpha, beta, k)
