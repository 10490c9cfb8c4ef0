"""Convolution and its gradients.

y[k, p, q, n] = b[k] + sum_{c, r, s} x[c, p*sh - top + r, q*sw - left + s, n] * w[c, r, s, k]

For one tap (r, s) the pixels that all outputs read form one strided slice of the zero-padded image, and the
sum over c is a matrix product. The three passes differ only in which of x, w, y is the unknown.
"""

import numpy as np

from .common import group_slices, wide
from .windows import interior, padded, padded_shape, seen_by_tap, taps


def conv2d(x, w, b, *, stride, pad, groups, relu, out):
    x, w = wide(x), wide(w)
    K, P, Q, N = out.shape
    xp = padded(x, w.shape[1:3], (P, Q), stride, pad)
    y = np.zeros(out.shape, x.dtype)
    for cs, ks in zip(group_slices(groups, x.shape[0]), group_slices(groups, K), strict=True):
        for r, s in taps(w.shape[1:3]):
            pixels = xp[cs][seen_by_tap(r, s, (P, Q), stride)]
            y[ks] += np.tensordot(w[:, r, s, ks], pixels, axes=(0, 0))
    if b is not None:
        y += b[:, None, None, None]
    out[...] = np.where(y <= 0, 0, y) if relu else y


def conv2d_dgrad(dy, w, relu_y, *, stride, pad, groups, out):
    dy, w = wide(dy), wide(w)
    K, P, Q, N = dy.shape
    dxp = np.zeros(padded_shape(out.shape, w.shape[1:3], (P, Q), stride, pad), dy.dtype)
    for cs, ks in zip(group_slices(groups, out.shape[0]), group_slices(groups, K), strict=True):
        for r, s in taps(w.shape[1:3]):
            dxp[cs][seen_by_tap(r, s, (P, Q), stride)] += np.tensordot(w[:, r, s, ks], dy[ks], axes=(1, 0))
    dx = dxp[interior(out.shape, pad)]
    out[...] = dx if relu_y is None else np.where(relu_y <= 0, 0, dx)


def conv2d_wgrad(x, dy, *, stride, pad, groups, out, workspace=None):
    x, dy = wide(x), wide(dy)
    K, P, Q, N = dy.shape
    xp = padded(x, out.shape[1:3], (P, Q), stride, pad)
    for cs, ks in zip(group_slices(groups, x.shape[0]), group_slices(groups, K), strict=True):
        for r, s in taps(out.shape[1:3]):
            pixels = xp[cs][seen_by_tap(r, s, (P, Q), stride)]
            out[:, r, s, ks] = np.tensordot(pixels, dy[ks], axes=((1, 2, 3), (1, 2, 3)))


def conv2d_wgrad_db(x, dy, *, stride, pad, groups, out, workspace=None):
    dw, db = out
    conv2d_wgrad(x, dy, stride=stride, pad=pad, groups=groups, out=dw)
    bias_grad(dy, out=db)


def bias_grad(dy, *, out, workspace=None):
    # Summed in float64 and rounded once: NumPy's float32 sum over several axes is not accurate to the level-2 bound.
    out[...] = dy.astype(np.float64).reshape(dy.shape[0], -1).sum(axis=1)
