"""Devices: a small protocol, so that a graph does not ask what it runs on.

A device has memory, one stream that runs what is submitted in order, and events that order streams. `HostDevice`
runs NumPy arrays at once, so its streams and events have nothing to do; `CudaDevice` is CuPy's; `EmulatedDevice` runs
the CUDA kernels on the CPU, as late as a GPU may, in memory of its own. Several devices may share one physical GPU, or
the host: that is how the two towers are tested anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .. import config, ops
from ..errors import DeviceError
from ..ops.arrays import Array
from ..ops.backends import HOST_BACKENDS, NUMPY_BACKENDS
from ..ops.emulated import LAST_DEVICE
from .emulated_device import EmulatedDevice

Event = Any
PEER_ACCESS_ALREADY_ENABLED = 704  # cudaErrorPeerAccessAlreadyEnabled, which CuPy does not name
_NUMBERS = [str(number) for number in range(LAST_DEVICE + 1)]  # of devices, as they are written


class Device(Protocol):
    """What a graph asks of a device. Arrays are the device's own unless they are called `host`.

    name: for people, "cpu:0"; copies: bytes of each copy that came from another device, in order.
    """

    name: str
    copies: list[int]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array: ...

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array: ...

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Host memory that `upload` and `download` use when the stream gets there, not when they are called."""

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, operations on this device's arrays, after everything submitted before."""

    def upload(self, host: np.ndarray, out: Array) -> None:
        """Copy from the host, after everything submitted before; `host` may change when this returns, unless it is
        `pinned`."""

    def download(self, array: Array, out: np.ndarray) -> None:
        """Copy to the host, after everything submitted before; `out` is there after `synchronize` or its event."""

    def copy_from(self, source: Device, array: Array, out: Array) -> None:
        """Copy another device's array into one of this device, after everything submitted before."""

    def record(self) -> Event:
        """A mark after everything submitted so far."""

    def wait(self, event: Event) -> None:
        """What is submitted from now on waits for a mark, this device's or another's."""

    def synchronize(self) -> None:
        """Wait until all is done. Raises DeviceError for what went wrong on the device since the last time."""


class HostDevice:
    """NumPy arrays in host memory, on a NumPy backend. Everything has happened when a call returns."""

    def __init__(self, name: str = "cpu:0", backend: str = "cpu"):
        self.name = name
        self.copies: list[int] = []
        self._backend = backend

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.zeros(shape, dtype)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.empty(shape, dtype)

    def submit(self, call: Callable[[], None]) -> None:
        with ops.backend(self._backend):
            call()

    def upload(self, host: np.ndarray, out: Array) -> None:
        np.copyto(out, host)

    def download(self, array: Array, out: np.ndarray) -> None:
        np.copyto(out, array)

    def copy_from(self, source: Device, array: Array, out: Array) -> None:
        np.copyto(out, array)
        self.copies.append(array.nbytes)

    def record(self) -> Event:
        return None

    def wait(self, event: Event) -> None:
        pass

    def synchronize(self) -> None:
        pass


class CudaDevice:
    """CuPy arrays on one GPU, with a stream of its own.

    peer: copy directly where the GPUs can reach each other's memory; False stages every copy between two devices
    through pinned host memory, also between two on one GPU, which is how staging is tested on a machine with one.
    """

    def __init__(self, index: int, *, peer: bool = True):
        if problem := config.cuda_problem():
            raise DeviceError(f"{problem}; or use the device cpu")
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
        if index >= count:
            there = ", ".join(f"cuda:{i}" for i in range(count)) or "none"
            fix = "the same GPU may be named twice, cuda:0,cuda:0" if count else "use the device cpu"
            raise DeviceError(f"cuda:{index}: this machine has {count} GPU(s): {there}; {fix}")
        self.name = f"cuda:{index}"
        self.index = index
        self.peer = peer
        self.copies: list[int] = []
        self._cupy = cupy
        self._reached: dict[int, bool] = {}  # by index of the other GPU
        self._staging: dict[int, np.ndarray] = {}  # pinned, one for each source array
        with self._here():
            self.stream = cupy.cuda.Stream(non_blocking=True)

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """This GPU as the current one; what the runtime reports is a DeviceError, whichever call it comes from."""
        try:
            with self._cupy.cuda.Device(self.index):
                yield
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            fix = "if the context is lost, start again from the last checkpoint (--resume auto)"
            raise DeviceError(f"{self.name}: {error}; {fix}") from error

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        with self._here(), self.stream:  # CuPy's pool gives memory back to the stream that it came from
            return self._cupy.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        with self._here(), self.stream:
            return self._cupy.zeros(shape, dtype)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        count = int(np.prod(shape))
        memory = self._cupy.cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def submit(self, call: Callable[[], None]) -> None:
        with self._here(), self.stream:
            call()

    def upload(self, host: np.ndarray, out: Array) -> None:
        with self._here():
            out.set(np.ascontiguousarray(host), stream=self.stream)

    def download(self, array: Array, out: np.ndarray) -> None:
        with self._here():
            array.get(stream=self.stream, out=out, blocking=False)

    def copy_from(self, source: Device, array: Array, out: Array) -> None:
        self.copies.append(array.nbytes)
        runtime = self._cupy.cuda.runtime
        if not isinstance(source, CudaDevice):
            raise DeviceError(
                f"{self.name}: cannot copy from {source.name}; place both towers on GPUs or both on the host"
            )
        with self._here():
            if self.peer and self._reaches(source):
                runtime.memcpyPeerAsync(
                    out.data.ptr, self.index, array.data.ptr, source.index, array.nbytes, self.stream.ptr
                )
                return
            # Both halves run on this stream: it already waits for the event that says the source is written.
            staging = self._pinned(array)
            runtime.memcpyAsync(
                staging.ctypes.data, array.data.ptr, array.nbytes, runtime.memcpyDefault, self.stream.ptr
            )
            runtime.memcpyAsync(out.data.ptr, staging.ctypes.data, array.nbytes, runtime.memcpyDefault, self.stream.ptr)

    def _reaches(self, source: CudaDevice) -> bool:
        """Whether this GPU can read the other's memory; turns that on the first time."""
        if source.index not in self._reached:
            self._reached[source.index] = source.index == self.index or self._enable_peer(source.index)
        return self._reached[source.index]

    def _enable_peer(self, index: int) -> bool:
        runtime = self._cupy.cuda.runtime
        if not runtime.deviceCanAccessPeer(self.index, index):
            return False
        try:
            runtime.deviceEnablePeerAccess(index)
        except runtime.CUDARuntimeError as error:
            if error.status != PEER_ACCESS_ALREADY_ENABLED:
                raise
        return True

    def _pinned(self, array: Array) -> np.ndarray:
        buffer = self._staging.get(array.data.ptr)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self._staging[array.data.ptr] = self.pinned((array.nbytes,), np.uint8)
        return buffer

    def record(self) -> Event:
        with self._here():
            event = self._cupy.cuda.Event(disable_timing=True)
            event.record(self.stream)
            return event

    def wait(self, event: Event) -> None:
        with self._here():
            self.stream.wait_event(event)

    def synchronize(self) -> None:
        with self._here():
            self.stream.synchronize()


def devices(spec: str) -> list[Device]:
    """Devices by name: "cpu", "cuda:1", or two of a kind with a comma: "cuda:0,cuda:1", "emulated:0,emulated:1".

    The same name may come twice. "cpu" and "reference" are NumPy's two backends; "emulated:0" and "emulated:1" run the
    CUDA kernels on the CPU, each in memory of its own, when somebody waits for them, in an order that
    ALEXNET_EMULATOR_SCHEDULE names. Two of a kind only; numbers may be left out. Raises ValueError for a name that is
    none, and DeviceError for a GPU that is not there.
    """
    names = [name.strip() for name in spec.split(",")]
    if not 1 <= len(names) <= 2:
        raise ValueError(f"devices: got {spec!r}, wanted one device, or two with a comma between")
    parsed = [_parse(name, spec) for name in names]
    kinds = {"NumPy" if kind in NUMPY_BACKENDS else kind for kind, _ in parsed}
    if len(kinds) > 1:
        raise ValueError(f"devices: got {spec!r}, wanted two of a kind: GPUs, emulated devices, or NumPy's on the host")
    made: list[Device] = []
    for position, (kind, index) in enumerate(parsed):
        if kind == "cuda":
            made.append(CudaDevice(index or 0))
            continue
        number = position if index is None else index
        made.append(EmulatedDevice(number) if kind == "emulated" else HostDevice(f"{kind}:{number}", kind))
    return made


def _parse(name: str, spec: str) -> tuple[str, int | None]:
    kind, colon, number = name.partition(":")
    if kind not in (*HOST_BACKENDS, "cuda") or (colon and number not in _NUMBERS):
        raise ValueError(
            f"devices: got {spec!r}, wanted cuda:0, cpu, emulated:0 or reference, or two of them with a comma between, "
            f"with numbers up to {LAST_DEVICE}"
        )
    return kind, int(number) if colon else None
