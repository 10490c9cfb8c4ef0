"""How work is cut into chunks, from shapes alone, and the buffers chunks are worked on in."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

# Elements of a chunk of pointwise work: long enough that a NumPy call costs little beside its work and that two
# threads seldom meet at the interpreter lock, short enough that its temporaries stay in a cache of a few MB.
CHUNK = 1 << 18


class Scratch:
    """Buffers that are reused from chunk to chunk, so that their memory is mapped once; contents are arbitrary."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype], np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """A contiguous array; taking the same name again gives the same memory."""
        key, count = (name, np.dtype(dtype)), math.prod(shape)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < count:
            buffer = self._buffers[key] = np.empty(count, dtype)
        return buffer[:count].reshape(shape)

    def wide(self, name: str, x: np.ndarray) -> np.ndarray:
        """x itself, or where it is bfloat16 a float32 copy."""
        dtype = wide_dtype(x.dtype)
        if x.dtype == dtype:
            return x
        copy = self.take(name, x.shape, dtype)
        np.copyto(copy, x)
        return copy


def wide_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype arithmetic is done in: float32 for bfloat16."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def even(total: int, largest: int) -> list[slice]:
    """range(total) cut into the fewest slices of at most `largest`, as equal as can be."""
    return parts(total, -(-total // max(largest, 1)))


def parts(total: int, count: int) -> list[slice]:
    """range(total) cut into `count` slices as equal as can be, large ones first, or fewer for lack of entries."""
    count = min(count, total)
    ends = [-(-i * total // count) for i in range(count + 1)]
    return [slice(begin, end) for begin, end in zip(ends, ends[1:], strict=False)]


def tiles(channels: int, rows: int, row_elements: int) -> Iterator[tuple[slice, slice]]:
    """(channels, rows) of chunks of about 4*CHUNK elements: whole maps, or rows of one map where that is larger."""
    target = 4 * CHUNK
    maps = target // (rows * row_elements)
    for cs in even(channels, maps):
        for rs in even(rows, rows if maps else target // row_elements):
            yield cs, rs
