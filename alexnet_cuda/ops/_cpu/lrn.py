"""Local response normalisation in chunks whose temporaries stay in the cache.

y = x * scale^-beta with scale = k + alpha * (sum of x^2 over a window), and its gradient. The two forms differ in
their windows alone: over channels, or over the pixels of a map. Either way a chunk is squared into the middle of a
zero-bordered array, where all window sums at once are a sum of shifted flat arrays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import parallel
from .chunks import CHUNK, Scratch, even, parts

Shape = tuple[int, ...]
Index = tuple[slice, ...]


class Neighbours(Protocol):
    """`size` neighbours from `size // 2` before an element on; mirrored, from as many after it back."""

    def bordered(self, shape: Shape) -> Shape:
        """Shape of a chunk together with a border that has room for the neighbours of every element."""

    def centre(self, shape: Shape, mirrored: bool) -> Index:
        """Where the chunk lies within its border."""

    def sum(self, bordered: np.ndarray, out: np.ndarray, scratch: Scratch) -> None:
        """out = the window sum of each element of the chunk."""


@dataclass(frozen=True)
class AcrossChannels:
    """Chunks are [C, pixels]."""

    size: int

    def bordered(self, shape: Shape) -> Shape:
        return shape[0] + self.size - 1, shape[1]

    def centre(self, shape: Shape, mirrored: bool) -> Index:
        return (_middle(self.size, shape[0], mirrored),)

    def sum(self, bordered: np.ndarray, out: np.ndarray, scratch: Scratch) -> None:
        _sum_shifted(bordered.reshape(-1), bordered.shape[1], self.size, out.reshape(-1))


@dataclass(frozen=True)
class AcrossMap:
    """Chunks are [C, H, W, N]."""

    size: int

    def bordered(self, shape: Shape) -> Shape:
        C, H, W, N = shape
        return C, H + self.size - 1, W + self.size - 1, N

    def centre(self, shape: Shape, mirrored: bool) -> Index:
        return slice(None), _middle(self.size, shape[1], mirrored), _middle(self.size, shape[2], mirrored)

    def sum(self, bordered: np.ndarray, out: np.ndarray, scratch: Scratch) -> None:
        # Flat sums also run across the ends of rows and maps; those land in the border and are left there.
        _, H, W, N = out.shape
        row = bordered.shape[2] * N
        columns = scratch.take("columns", (bordered.size - (self.size - 1) * row,), bordered.dtype)
        _sum_shifted(bordered.reshape(-1), row, self.size, columns)
        sums = scratch.take("sums", bordered.shape, bordered.dtype)
        _sum_shifted(columns, N, self.size, sums.reshape(-1)[: columns.size - (self.size - 1) * N])
        np.copyto(out, sums[:, :H, :W])


def _middle(size: int, length: int, mirrored: bool) -> slice:
    before = size - 1 - size // 2 if mirrored else size // 2
    return slice(before, before + length)


def _sum_shifted(x: np.ndarray, step: int, size: int, out: np.ndarray) -> None:
    """out[i] = x[i] + x[i + step] + ... of `size` terms."""
    np.copyto(out, x[: out.size])
    for t in range(1, size):
        out += x[t * step : t * step + out.size]


def lrn(x: np.ndarray, *, size: int, alpha: float, beta: float, k: float, groups: int, out: np.ndarray) -> None:
    chunks = _channel_chunks(x.shape, size, groups)
    _forward(_flat(x), AcrossChannels(size), chunks, alpha, beta, k, _flat(out))


def lrn_backward(
    x: np.ndarray, dy: np.ndarray, *, size: int, alpha: float, beta: float, k: float, groups: int, out: np.ndarray
) -> None:
    chunks = _channel_chunks(x.shape, size, groups)
    _backward(_flat(x), _flat(dy), AcrossChannels(size), chunks, alpha, beta, k, _flat(out))


def lrn_within_channel(x: np.ndarray, *, size: int, alpha: float, beta: float, k: float, out: np.ndarray) -> None:
    _forward(x, AcrossMap(size), _map_chunks(x.shape), alpha, beta, k, out)


def lrn_within_channel_backward(
    x: np.ndarray, dy: np.ndarray, *, size: int, alpha: float, beta: float, k: float, out: np.ndarray
) -> None:
    _backward(x, dy, AcrossMap(size), _map_chunks(x.shape), alpha, beta, k, out)


def _flat(x: np.ndarray) -> np.ndarray:
    """[C, H, W, N] as [C, pixels]."""
    return x.reshape(x.shape[0], -1)


def _channel_chunks(shape: Shape, size: int, groups: int) -> Iterable[Index]:
    """All channels of a group and some pixels of the flat image."""
    C, pixels = shape[0], shape[1] * shape[2] * shape[3]
    # At least 64 pixels, so that the runs which are copied are not shorter than a few cache lines.
    columns = even(pixels, max(CHUNK // (C // groups + size - 1), 64))
    return [(channels, column) for channels in parts(C, groups) for column in columns]


def _map_chunks(shape: Shape) -> Iterable[Index]:
    """Some whole maps, of 16 or more images."""
    C, H, W, N = shape
    images = even(N, max(CHUNK // (H * W), 16))
    maps = even(C, max(CHUNK // (H * W * N), 1))
    return [(channels, slice(None), slice(None), image) for channels in maps for image in images]


def _forward(
    x: np.ndarray, neighbours: Neighbours, chunks: Iterable[Index], alpha: float, beta: float, k: float, out: np.ndarray
) -> None:
    def work(chunk: Index, scratch: Scratch) -> None:
        xs = scratch.wide("x", x[chunk])
        scale = _scale(xs, neighbours, alpha, k, scratch)
        np.divide(xs, _power(scale, beta, scratch), out=out[chunk])

    parallel.run(work, chunks)


def _backward(
    x: np.ndarray, dy: np.ndarray, neighbours: Neighbours, chunks: Iterable[Index],
    alpha: float, beta: float, k: float, out: np.ndarray,
) -> None:  # fmt: skip
    """dx_i = dy_i * scale_i^-beta - 2*alpha*beta * x_i * sum over j that see i of dy_j * x_j * scale_j^(-beta-1)."""

    def work(chunk: Index, scratch: Scratch) -> None:
        xs, dys = scratch.wide("x", x[chunk]), scratch.wide("dy", dy[chunk])
        scale = _scale(xs, neighbours, alpha, k, scratch)
        power = _power(scale, beta, scratch)
        direct = np.divide(dys, power, out=power)
        bordered, centre = _bordered(xs, neighbours, True, scratch)
        np.multiply(direct, xs, out=centre)
        centre /= scale
        shared = scale  # whose values are spent
        neighbours.sum(bordered, shared, scratch)
        shared *= xs
        shared *= 2 * alpha * beta
        np.subtract(direct, shared, out=out[chunk])

    parallel.run(work, chunks)


def _bordered(x: np.ndarray, neighbours: Neighbours, mirrored: bool, scratch: Scratch) -> tuple[np.ndarray, np.ndarray]:
    """An array with a border of zeros, and the view of its centre, whose values are still to be written."""
    bordered = scratch.take("bordered", neighbours.bordered(x.shape), x.dtype)
    centre = neighbours.centre(x.shape, mirrored)
    for axis, inside in enumerate(centre):
        before = (slice(None),) * axis
        if inside != slice(None):
            bordered[before + (slice(0, inside.start),)] = 0
            bordered[before + (slice(inside.stop, None),)] = 0
    return bordered, bordered[centre]


def _scale(x: np.ndarray, neighbours: Neighbours, alpha: float, k: float, scratch: Scratch) -> np.ndarray:
    bordered, centre = _bordered(x, neighbours, False, scratch)
    np.square(x, out=centre)
    scale = scratch.take("scale", x.shape, x.dtype)
    neighbours.sum(bordered, scale, scratch)
    scale *= alpha
    scale += k
    return scale


def _power(scale: np.ndarray, beta: float, scratch: Scratch) -> np.ndarray:
    """scale^beta."""
    power = scratch.take("power", scale.shape, scale.dtype)
    if beta != 0.75:
        return np.power(scale, beta, out=power)
    # The paper's 3/4 by square roots: 1.5 times as fast as NumPy's power with AVX-512, 5 times without.
    root = np.sqrt(scale, out=scratch.take("root", scale.shape, scale.dtype))
    np.sqrt(root, out=power)
    power *= root
    return power
