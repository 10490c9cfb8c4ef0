"""From stored pixels to a minibatch: crop, mirror, shift colours, subtract the mean, change the layout."""

from typing import Any

import numpy as np

from . import parameters
from .arrays import FLOAT32, FLOATS, Array, Gate
from .parameters import IntOrPair


def augment(
    images: Any, *, crop: IntOrPair, offsets: Any, flips: Any, color_shift: Any = None, mean: Any = None,
    dtype: Any = FLOAT32, out: Any = None,
) -> Array:  # fmt: skip
    """Cut a minibatch out of stored images, and turn bytes into numbers: uint8 [n, H, W, C] -> [C, h, w, n].

    `x[c,i,j,n] = images[n, oy+i, ox+j, c] + color_shift[n,c] - mean`, with j mirrored where flips[n] is set.
    crop: (h, w) or one integer, in pixels; offsets: int32 [n, 2], the (y, x) of each crop's corner; flips: bool or
    uint8 [n]; color_shift: float32 [n, C] or None, in units of a pixel's 0 to 255; mean: float32 [C], one value a
    channel, or [H', W', C], a mean image whose own centre crop is subtracted, not mirrored, or None.
    Returns x of `dtype`: float32, bfloat16 or float64.

    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit; NumPy backends also
    ValueError for a crop that leaves its image: kernels make it NaN, and `check_status` raises.
    Source: the paper, section 4.1, and convdata.py of 2012.
    """
    gate = Gate("augment")
    images = gate.array("images", images, np.dtype(np.uint8), "nHWC")
    n, H, W, C = images.shape
    h, w = parameters.pair(gate.operation, "crop", crop, minimum=1)
    if h > H or w > W:
        raise gate.error(ValueError, "crop", (h, w), f"at most the image size {(H, W)}")
    offsets = gate.array("offsets", offsets, np.dtype(np.int32), (n, 2))
    flips = gate.array("flips", flips, (np.dtype(np.bool_), np.dtype(np.uint8)), (n,))
    if color_shift is not None:
        color_shift = gate.array("color_shift", color_shift, FLOAT32, (n, C))
    if mean is not None:
        mean = gate.array("mean", mean, FLOAT32)
        if not (
            mean.shape == (C,) or (mean.ndim == 3 and mean.shape[2] == C and h <= mean.shape[0] and w <= mean.shape[1])
        ):
            wanted = f"shape [{C}] or a mean image of at least [{h}, {w}, {C}]"
            raise gate.error(ValueError, "mean", f"shape {list(mean.shape)}", wanted)
    if gate.looks_into_arrays:
        _check_offsets(gate, offsets, H - h, W - w)
    dtype = parameters.dtype(gate.operation, "dtype", dtype, FLOATS)
    x = gate.output("out", out, (C, h, w, n), dtype)
    return gate.run(images, crop=(h, w), offsets=offsets, flips=flips, color_shift=color_shift, mean=mean, out=x)


def _check_offsets(gate: Gate, offsets: Array, last_y: int, last_x: int) -> None:
    bad = np.flatnonzero((offsets < 0).any(axis=1) | (offsets[:, 0] > last_y) | (offsets[:, 1] > last_x))
    if bad.size:
        i = int(bad[0])
        got = f"(y, x) = ({offsets[i, 0]}, {offsets[i, 1]}) for image {i}"
        raise gate.error(ValueError, "offsets", got, f"0 to {last_y} and 0 to {last_x}")
