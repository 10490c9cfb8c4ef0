"""Emulated devices: memory of their own, and streams whose work runs late, as on a GPU.

    stream = emulated.Stream(0)                       of the device emulated:0
    x, y = stream.empty(x_host.shape, x_host.dtype), stream.empty(x_host.shape, x_host.dtype)
    stream.copy(x, x_host)
    with ops.backend("emulated"), stream.use():
        ops.relu(x, out=y)                            queued, as the copy is
    stream.synchronize()                              runs both

What is queued runs when somebody waits, in an order that streams and events allow (`schedule`). A kernel that is given
another device's memory, or memory of none, is an error then. Without `use`, the backend "emulated" runs at once, on any
NumPy array. csrc/simt/emulator/README.md says what all this finds.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import config
from ..errors import DeviceError
from . import parameters

NO_DEVICE = -1  # of memory on the host: copies reach it, and kernels that run at once
LAST_DEVICE = 63

_current: contextvars.ContextVar[Stream | None] = contextvars.ContextVar("alexnet_cuda_emulated_stream", default=None)
_schedules: list[str] = []  # of the blocks that the process is in, the innermost last


def current() -> Stream | None:
    """The stream that operations of the backend "emulated" are queued on; None where they run at once."""
    return _current.get()


@contextlib.contextmanager
def schedule(text: str) -> Iterator[None]:
    """The order of threads, blocks and streams inside a `with` block, for the whole process.

    text: "forward", "reverse", or "random:7", as in ALEXNET_EMULATOR_SCHEDULE. Raises RuntimeError for any other.
    """
    module = _module()
    module.set_schedule(text)
    _schedules.append(text)
    try:
        yield
    finally:
        _schedules.pop()
        module.set_schedule(_schedules[-1] if _schedules else None)


def empty(shape: tuple[int, ...], dtype: Any, device: int = NO_DEVICE) -> np.ndarray:
    """An array in a device's memory, between red zones: a kernel that leaves it is found. Its bytes begin as 0xff."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:  # NumPy would take these bytes for addresses
        raise TypeError(f"empty: argument 'dtype': got {dtype.name}, wanted one without Python objects")
    shape = tuple(parameters.integer("empty", "shape", size, minimum=0) for size in shape)
    memory = _module().Memory(math.prod(shape) * dtype.itemsize, device, _name(dtype, shape))
    return np.ndarray(shape, dtype, buffer=memory)


def copied(host: np.ndarray, device: int = NO_DEVICE) -> np.ndarray:
    """`empty`, filled at once: what is queued from here on, on any stream, comes after."""
    array = empty(host.shape, host.dtype, device)
    host = np.ascontiguousarray(host)
    _module().copy(array.ctypes.data, host.ctypes.data, host.nbytes, 0, f"the first copy to {_name_of(array)}")
    return array


def synchronize_device(device: int) -> None:
    """Run what is queued on all streams of a device. Raises as `Stream.synchronize` does."""
    with _failures():
        _module().synchronize_device(device)


class Stream:
    """A queue of kernels and copies on one emulated device. Raises DeviceError where the kernels were not compiled."""

    def __init__(self, device: int):
        self.device = parameters.integer("Stream", "device", device, minimum=0, maximum=LAST_DEVICE)
        self._queue = _module().Stream(self.device)
        self._used: list[np.ndarray] = []

    @property
    def where(self) -> tuple[int, int]:
        """Device and handle, as the compiled module takes them."""
        return self.device, self._queue.handle

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Operations of the backend "emulated" are queued here inside a `with` block; their arrays live until then."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._keep_used()

    def using(self, array: np.ndarray) -> None:
        """Say that work which is being queued inside `use` needs an array."""
        self._used.append(array)

    def _keep_used(self) -> None:
        if self._used:
            self._queue.keep(self._used)
            self._used = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array in the memory of this stream's device."""
        return empty(shape, dtype, self.device)

    def copy(self, to: np.ndarray, source: np.ndarray) -> None:
        """Queue a copy between arrays of one shape and dtype, of any device or the host; none has to be kept."""
        if (to.shape, to.dtype) != (source.shape, source.dtype):
            raise ValueError(f"copy: got {_name_of(source)}, wanted one like {_name_of(to)}")
        if not (to.flags.c_contiguous and source.flags.c_contiguous):
            raise ValueError("copy: got an array with gaps, wanted C-contiguous memory; use np.ascontiguousarray")
        what = f"the copy to {_name_of(to)}"
        _module().copy(to.ctypes.data, source.ctypes.data, to.nbytes, self._queue.handle, what)
        self._used += (to, source)
        self._keep_used()

    def record(self) -> Any:
        """An event that stands for all that is queued so far."""
        event = _module().Event()
        self._queue.record(event)
        return event

    def wait(self, event: Any) -> None:
        """What is queued from now on comes after what an event stands for."""
        self._queue.wait(event)

    def synchronize(self) -> None:
        """Run what is queued, and what it waits for. Raises DeviceError with what the emulator found wrong; all that
        was still queued on any stream is dropped then."""
        if current() is self:  # a long `use`; another thread's arrays may be for work that it has yet to queue
            self._keep_used()
        with _failures():
            self._queue.synchronize()


def owner(array: np.ndarray) -> int | None:
    """Number of the device whose memory an array is in, NO_DEVICE for memory of `empty` on the host, else None."""
    device: int | None = _module().owner(array.ctypes.data)
    return device


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        kernels = sys.modules.get(f"{__package__}.kernels")
        if kernels is not None:
            kernels.forget_emulated_work()
        raise DeviceError(str(error)) from error


def _name(dtype: np.dtype, shape: tuple[int, ...]) -> str:
    return f"the {dtype.name} array {list(shape)}"


def _name_of(array: np.ndarray) -> str:
    return _name(array.dtype, array.shape)


def _module() -> Any:
    module, problem = config.load("_emulated")
    if module is None:
        raise DeviceError(f"emulated devices are not there: {problem}")
    return module
