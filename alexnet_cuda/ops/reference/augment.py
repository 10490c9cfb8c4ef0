"""From stored bytes to a minibatch."""

import numpy as np


def augment(images, *, crop, offsets, flips, color_shift, mean, out):
    """Crop, mirror, shift colours and subtract the mean; uint8 [n, H, W, C] -> [C, crop_h, crop_w, n]."""
    dtype = np.float64 if out.dtype == np.float64 else np.float32
    height, width = crop
    if mean is not None and mean.ndim == 3:
        top, left = (mean.shape[0] - height) // 2, (mean.shape[1] - width) // 2
        mean = mean[top : top + height, left : left + width]
    for n, (image, (y, x)) in enumerate(zip(images, offsets, strict=True)):
        view = image[y : y + height, x : x + width].astype(dtype)
        if flips[n]:
            view = view[:, ::-1]
        if color_shift is not None:
            view = view + color_shift[n]
        if mean is not None:
            view = view - mean
        out[..., n] = view.transpose(2, 0, 1)
