"""Memory that outlives a call: what kernels say of bad data until somebody asks, and scratch between their blocks."""

import sys
import threading
from typing import Any

import numpy as np

from .. import emulated
from ..arrays import Array
from .base import Base

# Of a status word (csrc/kernels/common/status.h) that says nothing.
_NOTHING = np.uint64(2**64 - 1)
_NO_IMAGE = 2**32 - 2


class Status(Base):
    """Both kinds of memory are allocated at first use, so a step that is to be captured as a graph runs once before."""

    def __init__(self, module: Any, name: str):
        super().__init__(module, name)
        self._statuses: dict[int, Array] = {}  # by device
        self._allocating = threading.Lock()
        self._scratches: dict[tuple[int, ...], list[Array]] = {}  # by where work is in order; the last is in use

    def check_status(self) -> None:
        """Wait for every device that ran such kernels, and raise ValueError for the first bad data noted there."""
        for device, status in list(self._statuses.items()):  # another thread may add one
            words = self._read(device, status)
            if (words != _NOTHING).any():
                status[...] = _NOTHING
                raise ValueError(_message(words))

    def _status(self) -> int:
        """Address of the current device's status words."""
        device, _ = self._where()
        with self._allocating:  # two threads must not both: the words of one would be freed under its kernel
            status = self._statuses.get(device)
            if status is None:
                status = self._statuses[device] = self._full(self._module.STATUS_WORDS, _NOTHING, np.uint64)
        return self._address(status)

    def _scratch(self, words: int) -> Array:
        """At least so many 32-bit words that begin as 0, for kernels of one stream (on the host: of one thread)."""
        arrays = self._scratches.setdefault(self._order(), [])
        if not arrays or arrays[-1].size < words:
            # Smaller ones stay: a captured graph may hold their addresses.
            arrays.append(self._full(max(words, 4096), 0, np.uint32))
        return arrays[-1]

    def _drop_scratch(self) -> None:
        self._scratches.pop(self._order(), None)

    def forget_emulated_work(self) -> None:
        """Take fresh scratch memory from now on: launches that failed or were dropped have left theirs half used."""
        if self._name == "emulated":
            self._scratches.clear()

    def _order(self) -> tuple[int, ...]:
        on_a_stream = self._name == "cuda" or emulated.current() is not None
        return self._where() if on_a_stream else (threading.get_ident(),)

    def _full(self, size: int, value: Any, dtype: Any) -> Array:
        """Memory of the current device that is filled when this returns: its other streams may use it too."""
        if self._name != "cuda":
            return emulated.copied(np.full(size, value, dtype), self._where()[0])
        cupy = sys.modules["cupy"]
        array = cupy.full(size, value, dtype)
        cupy.cuda.get_current_stream().synchronize()
        return array

    def _read(self, device: int, status: Array) -> np.ndarray:
        if self._name != "cuda":
            if device != emulated.NO_DEVICE:
                emulated.synchronize_device(device)
            return status.copy()
        cuda = sys.modules["cupy"].cuda
        with cuda.Device(device):
            cuda.runtime.deviceSynchronize()
            return status.get()


def _message(words: np.ndarray) -> str:
    """What the first note says, in the words of the NumPy backends."""
    label, label_limit, loss, offset_y, offset_x, offset_limit = (_halves(word) for word in words)
    if words[0] != _NOTHING:
        return (
            f"softmax_cross_entropy: argument 'labels': got {label[1]} for image {label[0]}, "
            f"wanted 0 to {label_limit[1] - 1}, or -1 for padding"
        )
    if words[3] != _NOTHING:
        got = f"(y, x) = ({offset_y[1]}, {offset_x[1]}) for image {offset_y[0]}"
        return f"augment: argument 'offsets': got {got}, wanted 0 to {offset_limit[0]} and 0 to {offset_limit[1]}"
    image = loss[0]
    got = "losses whose sum overflows" if image == _NO_IMAGE else f"a loss that is not finite for image {image}"
    return (
        f"softmax_cross_entropy: argument 'logits': got {got}, wanted a finite loss; "
        "look for the first layer whose output is not finite, or lower the learning rate"
    )


def _halves(word: np.uint64) -> tuple[int, int]:
    """(first, second) of a note: an image, unsigned, and a number, signed."""
    second = int(word) & 0xFFFFFFFF
    return int(word) >> 32, second - (second >> 31 << 32)
