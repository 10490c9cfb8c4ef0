"""From stored uint8 images to a network input, and between the two layouts."""

import numpy as np
from numpy.typing import ArrayLike

from .geometry import Array, Pair, f64, pair


def augment(
    images: ArrayLike,
    *,
    crop: Pair,
    offsets: ArrayLike,
    flips: ArrayLike,
    color_shift: ArrayLike | None = None,
    mean: ArrayLike | None = None,
) -> Array:
    """x[c,i,j,n] = images[n, oy + i, ox + (crop_w-1-j if flip else j), c] + color_shift[n,c] - mean.

    offsets[n] = (oy, ox). mean is mean[c], or mean[mh + i, mw + j, c] of a mean image [H,W,C]: its centre
    crop, (mh, mw) = ((H - crop_h) // 2, (W - crop_w) // 2), which is never flipped.
    """
    images = f64(images)
    count, height, width, channels = images.shape
    crop_h, crop_w = pair(crop)
    shift = np.zeros((count, channels)) if color_shift is None else f64(color_shift, (count, channels))
    mean = np.zeros(channels) if mean is None else f64(mean)
    mean = f64(mean, (channels,) if mean.ndim == 1 else (height, width, channels))
    mean_h, mean_w = (height - crop_h) // 2, (width - crop_w) // 2
    corners = f64(offsets, (count, 2)).astype(int).tolist()
    x = np.zeros((channels, crop_h, crop_w, count))
    for n, ((top, left), flip) in enumerate(zip(corners, np.asarray(flips), strict=True)):
        if not (0 <= top <= height - crop_h and 0 <= left <= width - crop_w):
            raise ValueError(f"crop {crop_h} x {crop_w} at ({top}, {left}) leaves the image")
        for i, j, c in np.ndindex(crop_h, crop_w, channels):
            pixel = images[n, top + i, left + (crop_w - 1 - j if flip else j), c]
            average = mean[c] if mean.ndim == 1 else mean[mean_h + i, mean_w + j, c]
            x[c, i, j, n] = pixel + shift[n, c] - average
    return x


def from_nchw(x: ArrayLike) -> Array:
    """y[c,h,w,n] = x[n,c,h,w]."""
    return np.stack(list(f64(x)), axis=-1)


def to_nchw(x: ArrayLike) -> Array:
    """y[n,c,h,w] = x[c,h,w,n]."""
    return np.stack([f64(x)[..., n] for n in range(np.shape(x)[-1])])
