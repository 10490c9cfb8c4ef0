"""Result arrays that show what was left unwritten and what was written beside them."""

from typing import Any

import numpy as np

CANARIES = 64  # elements on each side of a result, more than a vector store or a warp is wide


class Guarded:
    """A contiguous array of poison (NaN, or the largest integer) between two rows of canaries (77).

    `move` takes a NumPy array to where the operation runs, `back` brings it home.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, move: Any = np.asarray, back: Any = np.asarray):
        count = int(np.prod(shape))
        buffer = np.full(count + 2 * CANARIES, 77, dtype)
        buffer[CANARIES : CANARIES + count] = np.iinfo(dtype).max if dtype.kind in "iu" else np.nan
        self._buffer, self._back = move(buffer), back
        self.array = self._buffer[CANARIES : CANARIES + count].reshape(shape)

    def canaries_alive(self) -> bool:
        """Whether everything around the result is as it was."""
        buffer = self._back(self._buffer)
        return bool((buffer[:CANARIES] == 77).all() and (buffer[buffer.size - CANARIES :] == 77).all())
