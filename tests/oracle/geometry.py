"""Where windows lie: output sizes, leading padding, and the real pixels under every window."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Pair = int | tuple[int, ...]
Pad = int | tuple[int, ...] | str
Tap = tuple[int, int, int, int]


def f64(x: ArrayLike, shape: Shape | None = None) -> Array:
    """`x` as float64; ValueError unless it has `shape`, so that a wrong test case cannot pass unnoticed."""
    wide = np.asarray(x, dtype=np.float64)
    if shape is not None and wide.shape != tuple(shape):
        raise ValueError(f"got shape {wide.shape}, wanted {shape}")
    return wide


def pair(value: Pair) -> tuple[int, int]:
    """(h, w) of a parameter given as one integer or as a pair."""
    h, w = value if isinstance(value, tuple | list) else (value, value)
    return int(h), int(w)


def axis_geometry(size: int, window: int, stride: int, pad: int | str, ceil_mode: bool) -> tuple[int, int]:
    """(leading pad, number of windows P) of one axis.

    explicit pad: P = 1 + floor((2*pad + size - window) / stride), or ceil for floor; leading pad = pad.
    "valid": pad = 0.
    "same": P = ceil(size / stride), leading pad = max((P-1)*stride + window - size, 0) // 2.
    ValueError: stride < 1, pad < 0, window larger than the padded image, a window without a real pixel.
    """
    if stride < 1 or window < 1:
        raise ValueError(f"stride {stride} and window {window} must be at least 1")
    if pad == "same":
        count = -(-size // stride)
        lead = max((count - 1) * stride + window - size, 0) // 2
    else:
        lead = 0 if pad == "valid" else int(pad)
        room = 2 * lead + size - window
        if lead < 0 or room < 0:
            raise ValueError(f"negative pad {lead}, or window {window} larger than the padded image")
        count = 1 + (-(-room // stride) if ceil_mode else room // stride)
    for p in range(count):
        if not any(0 <= p * stride - lead + r < size for r in range(window)):
            raise ValueError(f"window {p} holds no real pixel")
    return lead, count


def _axes(image: Shape, window: Pair, stride: Pair, pad: Pad, ceil_mode: bool) -> list[tuple[int, int]]:
    """axis_geometry of the rows and of the columns."""
    pads: tuple[int | str, ...] = (pad, pad) if isinstance(pad, str) else pair(pad)
    axes = zip(image, pair(window), pair(stride), pads, strict=True)
    return [axis_geometry(*axis, ceil_mode) for axis in axes]


def out_shape(
    image: Shape, window: Pair, *, stride: Pair = 1, pad: Pad = 0, ceil_mode: bool = False
) -> tuple[int, int]:
    """(P, Q): the number of windows down and across an image (H, W)."""
    (_, p_count), (_, q_count) = _axes(image, window, stride, pad, ceil_mode)
    return p_count, q_count


def windows(
    image: Shape, window: Pair, *, stride: Pair = 1, pad: Pad = 0, ceil_mode: bool = False
) -> Iterator[tuple[int, int, list[Tap]]]:
    """Yield p, q, taps; taps lists (r, s, row, col) in (r, s) raster order, for real pixels only.

    row = p*stride_h - pad_top + r, col = q*stride_w - pad_left + s.
    """
    (top, p_count), (left, q_count) = _axes(image, window, stride, pad, ceil_mode)
    (height, width), (r_count, s_count), (stride_h, stride_w) = image, pair(window), pair(stride)
    for p, q in np.ndindex(p_count, q_count):
        taps = []
        for r, s in np.ndindex(r_count, s_count):
            row, col = p * stride_h - top + r, q * stride_w - left + s
            if 0 <= row < height and 0 <= col < width:
                taps.append((r, s, row, col))
        yield p, q, taps
