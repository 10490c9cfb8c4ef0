"""The device "emulated:0": the CUDA kernels on the CPU, with memory and streams as a GPU has them.

A test on two of them finds in the two-tower schedule what would need two GPUs otherwise: a missing wait, which gives a
wrong result in some order of the streams, and a kernel that was given the other device's memory, which is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import DeviceError
from ..ops import emulated
from ..ops.arrays import Array

if TYPE_CHECKING:
    from .devices import Device, Event


class EmulatedDevice:
    """NumPy arrays in the memory of one emulated device, and a stream whose work runs when somebody waits for it.

    Its arrays hold nothing yet when a call returns: `download` them. Two devices of one number share their memory, as
    two streams on one GPU do. Raises DeviceError where the kernels were not compiled.
    """

    def __init__(self, index: int):
        self.name = f"emulated:{index}"
        self.copies: list[int] = []
        self.stream = emulated.Stream(index)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.stream.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        array = self.empty(shape, dtype)
        self.stream.copy(array, np.zeros(shape, dtype))
        return array

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return emulated.empty(shape, dtype)

    def submit(self, call: Callable[[], None]) -> None:
        with ops.backend("emulated"), self.stream.use():
            call()

    def upload(self, host: np.ndarray, out: Array) -> None:
        is_pinned = emulated.owner(host) == emulated.NO_DEVICE
        self.stream.copy(out, host if is_pinned else np.array(host, order="C"))

    def download(self, array: Array, out: np.ndarray) -> None:
        self.stream.copy(out, array)

    def copy_from(self, source: Device, array: Array, out: Array) -> None:
        if not isinstance(source, EmulatedDevice):
            raise DeviceError(f"{self.name}: cannot copy from {source.name}; place both towers on emulated devices")
        self.stream.copy(out, array)
        self.copies.append(array.nbytes)

    def record(self) -> Event:
        return self.stream.record()

    def wait(self, event: Event) -> None:
        self.stream.wait(event)

    def synchronize(self) -> None:
        self.stream.synchronize()
