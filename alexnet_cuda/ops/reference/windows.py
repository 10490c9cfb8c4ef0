"""Sliding windows: the zero-padded image, and the strided slice of it that one filter tap reads."""

import itertools

import numpy as np


def padded_shape(shape, size, outputs, stride, pad):
    """Shape of an image extended by zeros so that every window, the overhanging last ones too, lies inside."""
    (C, H, W, N), (R, S), (P, Q) = shape, size, outputs
    rows = max(pad[0] + H, (P - 1) * stride[0] + R)
    cols = max(pad[1] + W, (Q - 1) * stride[1] + S)
    return C, rows, cols, N


def interior(shape, pad):
    """Where the image itself lies inside the padded one."""
    return slice(None), slice(pad[0], pad[0] + shape[1]), slice(pad[1], pad[1] + shape[2])


def padded(x, size, outputs, stride, pad, fill=0):
    """The image x within an extended one of `fill`."""
    extended = np.full(padded_shape(x.shape, size, outputs, stride, pad), fill, x.dtype)
    extended[interior(x.shape, pad)] = x
    return extended


def seen_by_tap(r, s, outputs, stride):
    """The pixels [:, p*sh + r, q*sw + s, :] of a padded image, for all outputs (p, q)."""
    rows = slice(r, r + (outputs[0] - 1) * stride[0] + 1, stride[0])
    cols = slice(s, s + (outputs[1] - 1) * stride[1] + 1, stride[1])
    return slice(None), rows, cols


def taps(size):
    """Tap positions (r, s) in raster order."""
    return itertools.product(range(size[0]), range(size[1]))


def is_pixel(shape, size, outputs, stride, pad):
    """Padded image of booleans: which positions are pixels of the image and which are padding."""
    ones = np.ones((1, *shape[1:3], 1), bool)
    return padded(ones, size, outputs, stride, pad, fill=False)
