"""Pooling in chunks of whole maps or of rows of one map.

Maxima and sums run down the columns first and then along the rows, R + S instead of R * S steps. A position is
found afterwards: going back through the taps, `arg` becomes the tap wherever the tap holds the maximum, so that the
first one in raster order is what remains; in one-byte arithmetic this costs less than keeping it along the way.
"""

from collections.abc import Callable

import numpy as np

from . import parallel
from .chunks import Scratch, tiles, wide_dtype
from .select import keep
from .windows import Axis, fold

Pair = tuple[int, int]
Outputs = tuple[slice, slice, slice]  # channels, rows and columns


def _axes(image: np.ndarray, outputs: np.ndarray, stride: Pair, pad: Pair) -> tuple[Axis, Axis]:
    (H, W), (P, Q) = image.shape[1:3], outputs.shape[1:3]
    return Axis(P, stride[0], -pad[0], H), Axis(Q, stride[1], -pad[1], W)


def max_pool(x: np.ndarray, *, size: Pair, stride: Pair, pad: Pair, out: np.ndarray, arg: np.ndarray | None) -> None:
    rows, cols = _axes(x, out, stride, pad)
    C, P, Q, N = out.shape

    def work(chunk: tuple[slice, slice], scratch: Scratch) -> None:
        cs, ps = chunk
        xs, chunk_rows = _seen_by(x, cs, ps, rows, size[0], scratch)
        y = out[chunk] if out.dtype == xs.dtype else scratch.take("y", out[chunk].shape, xs.dtype)
        _fold_both(np.maximum, -np.inf, xs, chunk_rows, cols, size, y, scratch)
        if y.dtype != out.dtype:
            out[chunk] = y
        if arg is not None:
            _first_position(xs, y, chunk_rows, cols, size, arg[chunk], scratch)

    parallel.run(work, tiles(C, P, x.shape[2] * N * stride[0]))


def _seen_by(x: np.ndarray, cs: slice, ps: slice, rows: Axis, size: int, scratch: Scratch) -> tuple[np.ndarray, Axis]:
    """The image rows that output rows `ps` need, widened, and these windows as an axis over them."""
    chunk_rows = rows.of_outputs(ps)
    hs = chunk_rows.pixels(size)
    return scratch.wide("x", x[cs, hs]), chunk_rows.of_pixels(hs)


def _fold_both(
    op: np.ufunc, empty: float, x: np.ndarray, rows: Axis, cols: Axis, size: Pair, out: np.ndarray, scratch: Scratch
) -> None:
    columns_done = scratch.take("columns", (x.shape[0], rows.outputs, *x.shape[2:]), x.dtype)
    fold(op, empty, x, 1, rows, size[0], columns_done)
    fold(op, empty, columns_done, 2, cols, size[1], out)


def _first_position(
    x: np.ndarray, y: np.ndarray, rows: Axis, cols: Axis, size: Pair, arg: np.ndarray, scratch: Scratch
) -> None:
    """arg = first tap r*S + s of each window that holds its maximum y, or its first NaN where y is NaN."""
    has_nan = bool(np.isnan(y).any())
    R, S = size
    arg.fill(R * S - 1)  # what nothing before it matches
    for tap in range(R * S - 2, -1, -1):
        (ps, hs), (qs, ws) = rows.tap(tap // S), cols.tap(tap % S)
        pixels, position = x[:, hs, ws], arg[:, ps, qs]
        other = scratch.take("other", pixels.shape, np.bool_)
        np.not_equal(pixels, y[:, ps, qs], out=other)
        if has_nan:  # y is NaN exactly where a pixel is, and NaN differs from itself
            other &= pixels == pixels
        # position = other ? position : tap
        position -= arg.dtype.type(tap)
        position *= other.view(np.uint8)
        position += arg.dtype.type(tap)


def max_pool_backward(dy: np.ndarray, arg: np.ndarray, *, size: Pair, stride: Pair, pad: Pair, out: np.ndarray) -> None:
    def selected(tap: int, outputs: Outputs, scratch: Scratch) -> np.ndarray:
        grad, position = scratch.wide("dy", dy[outputs]), arg[outputs]
        mask = scratch.take("mask", position.shape, np.bool_)
        chosen = scratch.take("chosen", grad.shape, grad.dtype)
        keep(np.equal(position, arg.dtype.type(tap), out=mask), grad, chosen, scratch)
        return chosen

    _scatter(dy, selected, size, stride, pad, out)


def avg_pool(x: np.ndarray, *, size: Pair, stride: Pair, pad: Pair, out: np.ndarray) -> None:
    rows, cols = _axes(x, out, stride, pad)
    C, P, Q, N = out.shape
    pixels = _pixels_per_window(rows, cols, size)

    def work(chunk: tuple[slice, slice], scratch: Scratch) -> None:
        cs, ps = chunk
        xs, chunk_rows = _seen_by(x, cs, ps, rows, size[0], scratch)
        total = scratch.take("total", out[chunk].shape, xs.dtype)
        _fold_both(np.add, 0, xs, chunk_rows, cols, size, total, scratch)
        total /= pixels[ps].astype(total.dtype)
        out[chunk] = total

    parallel.run(work, tiles(C, P, x.shape[2] * N * stride[0]))


def _pixels_per_window(rows: Axis, cols: Axis, size: Pair) -> np.ndarray:
    """Integers [P, Q, 1]."""
    return rows.pixels_per_window(size[0])[:, None, None] * cols.pixels_per_window(size[1])[:, None]


def avg_pool_backward(dy: np.ndarray, *, size: Pair, stride: Pair, pad: Pair, out: np.ndarray) -> None:
    rows, cols = _axes(out, dy, stride, pad)
    pixels = _pixels_per_window(rows, cols, size)

    def share(tap: int, outputs: Outputs, scratch: Scratch) -> np.ndarray:
        dtype = wide_dtype(dy.dtype)
        result = scratch.take("share", dy[outputs].shape, dtype)
        return np.divide(dy[outputs], pixels[outputs[1:]].astype(dtype), out=result)

    _scatter(dy, share, size, stride, pad, out)


def _scatter(
    dy: np.ndarray,
    contribution: Callable[[int, Outputs, Scratch], np.ndarray],
    size: Pair,
    stride: Pair,
    pad: Pair,
    out: np.ndarray,
) -> None:
    """Each pixel of out becomes the sum of the contributions of its windows, tap after tap.

    contribution(tap, outputs, scratch) is what dy[outputs] adds to the pixels under tap r*S + s.
    """
    rows, cols = _axes(out, dy, stride, pad)

    def work(chunk: tuple[slice, slice], scratch: Scratch) -> None:
        cs, hs = chunk
        chunk_rows = rows.of_pixels(hs)
        dtype = wide_dtype(out.dtype)
        dx = out[chunk] if out.dtype == dtype else scratch.take("dx", out[chunk].shape, dtype)
        dx.fill(0)
        for tap in range(size[0] * size[1]):
            (ps, ys), (qs, xs) = chunk_rows.tap(tap // size[1]), cols.tap(tap % size[1])
            pixels = dx[:, ys, xs]
            pixels += contribution(tap, (cs, ps, qs), scratch)
        if dx.dtype != out.dtype:
            out[chunk] = dx

    parallel.run(work, tiles(out.shape[0], out.shape[1], out.shape[2] * out.shape[3]))
