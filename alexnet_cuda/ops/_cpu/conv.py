"""Convolution by matrix products, a box of outputs at a time, in memory that does not grow with the minibatch.

For each box and each group: forward  y = w^T @ columns(x)
                             dgrad    columns(dx) = w @ dy, added to the pixels they stand for
                             wgrad    dw += columns(x) @ dy^T
The products are NumPy's, which has threads of its own; the copies and sums around them are shared out here.
"""

import itertools
import math

import numpy as np

from . import parallel
from .chunks import CHUNK, Scratch, even, parts, tiles, wide_dtype
from .columns import Box, Pair, Windows, gather, scatter_add, split
from .select import keep_positive

DX_BYTES = 64 << 20  # of a group's dx in float32, where dx itself is bfloat16


@np.errstate(all="ignore")
def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, *, stride: Pair, pad: Pair, groups: int, relu: bool,
    out: np.ndarray,
) -> None:  # fmt: skip
    dtype = wide_dtype(x.dtype)
    windows = Windows.of(x, w, out, stride, pad)
    filters = _filter_matrix(w)
    scratch = Scratch()
    for box in windows.boxes(x.shape[3], _matrix_rows(w, groups), dtype.itemsize):
        for cs, ks in _groups(groups, x, w):
            columns = gather(x[cs], windows, box, dtype, scratch)
            in_place = box.matrix(out[ks]) if out.dtype == dtype else None
            y = scratch.take("y", (ks.stop - ks.start, columns.shape[1]), dtype) if in_place is None else in_place
            np.matmul(filters[:, ks].T, columns, out=y)
            _add_bias_and_clamp(y, None if b is None else b[ks], relu)
            if in_place is None:
                target = box.of(out[ks])
                target[...] = y.reshape(target.shape)


def _add_bias_and_clamp(y: np.ndarray, b: np.ndarray | None, relu: bool) -> None:
    def work(ks: slice, _: Scratch) -> None:
        if b is not None:
            y[ks] += b[ks, None]
        if relu:
            np.maximum(y[ks], 0, out=y[ks])  # unlike fmax, lets NaN pass
            y[ks] += 0.0  # makes -0 into +0

    if b is not None or relu:
        parallel.run(work, split(len(y), y.nbytes))


@np.errstate(all="ignore")
def conv2d_dgrad(
    dy: np.ndarray, w: np.ndarray, relu_y: np.ndarray | None, *, stride: Pair, pad: Pair, groups: int, out: np.ndarray
) -> None:
    dtype = wide_dtype(dy.dtype)
    windows = Windows.of(out, w, dy, stride, pad)
    filters = _filter_matrix(w)
    scratch = Scratch()
    most_images = out.shape[3]
    if out.dtype != dtype:
        most_images = max(DX_BYTES // (math.prod(out.shape[:3]) // groups * dtype.itemsize), 1)
    boxes = windows.boxes(out.shape[3], _matrix_rows(w, groups), dtype.itemsize, most_images)
    for images, their_boxes in itertools.groupby(boxes, lambda box: box.images):
        same_images = list(their_boxes)
        for cs, ks in _groups(groups, out, w):
            target = out[cs, ..., images]
            dx = target if out.dtype == dtype else scratch.take("dx", target.shape, dtype)
            _clear(dx)
            for box in same_images:
                grad = _wide_matrix(dy[ks], box, scratch)
                columns = scratch.take("columns", (len(filters), grad.shape[1]), dtype)
                np.matmul(filters[:, ks], grad, out=columns)
                scatter_add(columns, windows, box, dx)
            _store(dx, None if relu_y is None else relu_y[cs, ..., images], target)


def _clear(dx: np.ndarray) -> None:
    parallel.run(lambda cs, _: dx[cs].fill(0), split(len(dx), dx.nbytes))


def _store(dx: np.ndarray, relu_y: np.ndarray | None, out: np.ndarray) -> None:
    """out = dx, rounded if out is narrower, and 0 where relu_y is not positive."""

    def work(tile: tuple[slice, slice], scratch: Scratch) -> None:
        if dx.dtype != out.dtype:
            out[tile] = dx[tile]
        if relu_y is not None:
            keep_positive(relu_y[tile], out[tile], out[tile], scratch)

    if dx.dtype != out.dtype or relu_y is not None:
        C, H, W, N = dx.shape
        parallel.run(work, tiles(C, H, W * N))


@np.errstate(all="ignore")
def conv2d_wgrad(
    x: np.ndarray, dy: np.ndarray, *, stride: Pair, pad: Pair, groups: int, out: np.ndarray, workspace: object = None
) -> None:
    dtype = wide_dtype(x.dtype)
    windows = Windows.of(x, out, dy, stride, pad)
    dw = out.reshape(-1, out.shape[3])
    scratch = Scratch()
    for i, box in enumerate(windows.boxes(x.shape[3], _matrix_rows(out, groups), dtype.itemsize)):
        for cs, ks in _groups(groups, x, out):
            columns = gather(x[cs], windows, box, dtype, scratch)
            grad = _wide_matrix(dy[ks], box, scratch)
            if i == 0:
                np.matmul(columns, grad.T, out=dw[:, ks])
            else:
                part = scratch.take("part", (len(columns), len(grad)), dtype)
                np.matmul(columns, grad.T, out=part)
                _add(part, dw[:, ks])


def _add(part: np.ndarray, total: np.ndarray) -> None:
    def work(rows: slice, _: Scratch) -> None:
        np.add(total[rows], part[rows], out=total[rows])

    parallel.run(work, split(len(part), part.nbytes))


def bias_grad(dy: np.ndarray, *, out: np.ndarray, workspace: object = None) -> None:
    matrix = dy.reshape(len(dy), -1)
    columns = even(matrix.shape[1], CHUNK)
    rows = even(len(matrix), max(CHUNK // matrix.shape[1], 1))
    sums = np.empty((len(matrix), len(columns)), out.dtype)

    def work(block: tuple[slice, int], scratch: Scratch) -> None:
        ks, i = block
        # Along contiguous rows NumPy adds pairwise, whose rounding errors grow with the logarithm of the length.
        np.add.reduce(scratch.wide("dy", matrix[ks, columns[i]]), axis=1, out=sums[ks, i])

    parallel.run(work, itertools.product(rows, range(len(columns))))
    np.add.reduce(sums, axis=1, out=out)


def _matrix_rows(filters: np.ndarray, groups: int) -> int:
    """Rows of the larger matrix that has a column for each output: a group's windows or its outputs."""
    return max(math.prod(filters.shape[:3]), filters.shape[3] // groups)


def _filter_matrix(w: np.ndarray) -> np.ndarray:
    """[C*R*S, K], widened."""
    return w.astype(wide_dtype(w.dtype), copy=False).reshape(-1, w.shape[3])


def _groups(groups: int, image: np.ndarray, filters: np.ndarray) -> list[tuple[slice, slice]]:
    """(channels, filters) of each group."""
    return list(zip(parts(image.shape[0], groups), parts(filters.shape[3], groups), strict=True))


def _wide_matrix(dy: np.ndarray, box: Box, scratch: Scratch) -> np.ndarray:
    """The box of dy as a widened matrix [K, outputs], a view where that is possible."""
    matrix = box.matrix(dy)
    if matrix is not None:
        return scratch.wide("dy", matrix)
    values = box.of(dy)
    copy = scratch.take("dy", values.shape, wide_dtype(dy.dtype))
    np.copyto(copy, values)
    return copy.reshape(len(dy), -1)
