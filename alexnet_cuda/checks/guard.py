"""Arrays between canaries: what is written beside them shows, and their addresses can be made awkward."""

from typing import Any

import numpy as np

CANARIES = 64  # elements on each side, more than a vector store or a warp is wide


class Guarded:
    """A contiguous copy of `contents` between two rows of canaries (77).

    offset: elements by which its address misses a multiple of 16 bytes, which vector loads and stores want; arrays
    that are slices of others have such addresses. `move` takes a NumPy array to where the operation runs, `back`
    brings it home. canaries: on each side; 0 where the memory itself tells when somebody leaves it.
    """

    def __init__(
        self,
        contents: np.ndarray,
        offset: int,
        move: Any = np.asarray,
        back: Any = np.asarray,
        canaries: int = CANARIES,
    ):
        start, end = canaries + offset, canaries + offset + contents.size
        self._canary = np.array(77).astype(contents.dtype)
        buffer = np.full(end + canaries, self._canary, contents.dtype)
        buffer[start:end] = contents.ravel()
        self._buffer, self._back = move(buffer), back
        self._start, self._end = start, end
        self.array = self._buffer[start:end].reshape(contents.shape)

    def canaries_alive(self) -> bool:
        """Whether everything around the array is as it was."""
        buffer = self._back(self._buffer)
        return bool((buffer[: self._start] == self._canary).all() and (buffer[self._end :] == self._canary).all())


def poison(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What a result holds before it is written: NaN, or the largest integer."""
    return np.full(shape, np.iinfo(dtype).max if dtype.kind in "iu" else np.nan, dtype)
