"""Convolution windows as the columns of a matrix, a bounded box of outputs at a time.

`gather` lays the pixels that the filters see out as [C*R*S, outputs], so that a convolution is a matrix product;
`scatter_add` is its adjoint. The image index is the fastest, so each row is made of long contiguous runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from . import parallel
from .chunks import Scratch, even, parts
from .windows import Axis

Pair = tuple[int, int]

# Bytes of one matrix of columns. AlexNet's layers take the same time within 15 % from 4 to 32 MB; the more images, the
# more a larger one helps, until it no longer fits the last cache.
COLUMN_BYTES = 16 << 20
FEWEST_COLUMNS = 64  # of a box, however long they are: a narrower product would be slow
SPLIT_BYTES = 1 << 20  # copies smaller than this are not worth waking a thread for


@dataclass(frozen=True)
class Box:
    """Outputs [rows, cols, images] that are worked on together."""

    rows: slice
    cols: slice
    images: slice

    @property
    def shape(self) -> tuple[int, int, int]:
        """(P, Q, N) of the box."""
        p, q, n = ((s.stop - s.start) for s in (self.rows, self.cols, self.images))
        return p, q, n

    def of(self, y: np.ndarray) -> np.ndarray:
        """The box of an array [K, P, Q, N]."""
        return y[:, self.rows, self.cols, self.images]

    def matrix(self, y: np.ndarray) -> np.ndarray | None:
        """The box of a contiguous [K, P, Q, N] as a view [K, outputs]; None if the box is not contiguous there."""
        _, _, Q, N = y.shape
        p, q, n = self.shape
        if (n < N and p * q > 1) or (q < Q and p > 1):
            return None
        begin = (self.rows.start * Q + self.cols.start) * N + self.images.start
        return y.reshape(y.shape[0], -1)[:, begin : begin + p * q * n]


@dataclass(frozen=True)
class Windows:
    """The windows of R x S pixels that the outputs [P, Q] of a convolution see in an image [H, W]."""

    size: Pair
    rows: Axis
    cols: Axis

    @staticmethod
    def of(image: np.ndarray, filters: np.ndarray, outputs: np.ndarray, stride: Pair, pad: Pair) -> "Windows":
        (H, W), (P, Q) = image.shape[1:3], outputs.shape[1:3]
        rows, cols = Axis(P, stride[0], -pad[0], H), Axis(Q, stride[1], -pad[1], W)
        return Windows((filters.shape[1], filters.shape[2]), rows, cols)

    def boxes(self, images: int, rows_of_columns: int, itemsize: int, most_images: int | None = None) -> list[Box]:
        """All outputs in boxes that make matrices of at most about COLUMN_BYTES; the images outermost."""
        P, Q = self.rows.outputs, self.cols.outputs
        limit = max(COLUMN_BYTES // (rows_of_columns * itemsize), FEWEST_COLUMNS)
        n = min(images, limit, most_images or images)
        rows = even(P, limit // (n * Q))
        cols = even(Q, limit // n if limit < n * Q else Q)
        return [Box(p, q, i) for i in even(images, n) for p in rows for q in cols]

    def inside(self, x: np.ndarray, box: Box) -> np.ndarray | None:
        """The pixels of an image as a view [C, R, S, outputs of the box]; None if a window leaves the image."""
        rows, cols = self.rows.of_outputs(box.rows), self.cols.of_outputs(box.cols)
        hs, ws = rows.pixels(self.size[0]), cols.pixels(self.size[1])
        if hs.stop - hs.start < rows.span(self.size[0]) or ws.stop - ws.start < cols.span(self.size[1]):
            return None
        every = sliding_window_view(x[:, hs, ws, box.images], self.size, (1, 2))
        return every[:, :: rows.stride, :: cols.stride].transpose(0, 4, 5, 1, 2, 3)

    def taps(self, box: Box) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
        """(r, s, outputs, pixels) of every tap: which outputs of the box find pixels there, and which pixels."""
        rows, cols = self.rows.of_outputs(box.rows), self.cols.of_outputs(box.cols)
        for r in range(self.size[0]):
            ps, hs = rows.tap(r)
            for s in range(self.size[1]):
                qs, ws = cols.tap(s)
                yield r, s, (ps, qs), (hs, ws)


def gather(x: np.ndarray, windows: Windows, box: Box, dtype: np.dtype, scratch: Scratch) -> np.ndarray:
    """Columns [C*R*S, outputs of the box] of an image [C, H, W, N], zero where windows leave it."""
    C = x.shape[0]
    columns = scratch.take("columns", (C, *windows.size, *box.shape), dtype)
    inside = windows.inside(x, box)

    def copy(channels: slice, _: Scratch) -> None:
        if inside is not None:
            np.copyto(columns[channels], inside[channels])
            return
        for r, s, (ps, qs), (hs, ws) in windows.taps(box):
            tap = columns[channels, r, s]
            tap[:, : ps.start] = 0
            tap[:, ps.stop :] = 0
            tap[:, ps, : qs.start] = 0
            tap[:, ps, qs.stop :] = 0
            tap[:, ps, qs] = x[channels, hs, ws, box.images]

    parallel.run(copy, split(C, columns.nbytes))
    return columns.reshape(C * windows.size[0] * windows.size[1], -1)


def scatter_add(columns: np.ndarray, windows: Windows, box: Box, x: np.ndarray) -> None:
    """Add columns [C*R*S, outputs of the box] to the pixels they stand for, tap after tap; x: the box's images."""
    C = x.shape[0]
    columns = columns.reshape(C, *windows.size, *box.shape)

    def add(channels: slice, _: Scratch) -> None:
        for r, s, (ps, qs), (hs, ws) in windows.taps(box):
            target = x[channels, hs, ws]
            target += columns[channels, r, s, ps, qs]

    parallel.run(add, split(C, columns.nbytes))


def split(rows: int, nbytes: int) -> list[slice]:
    """Rows of an array shared out among the threads, for work in which every row is on its own."""
    return parts(rows, min(parallel.threads(), max(nbytes // SPLIT_BYTES, 1)))
