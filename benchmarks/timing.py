"""Times of short calls: on a GPU by events, on the CPU by the wall clock.

On a GPU the host runs ahead: a long copy keeps the GPU busy while the calls of a sample are queued, so that the time
between two events is the GPU's alone, without gaps in which it waits for Python. The copy also empties the L2.
A sample before which the GPU caught up is thrown away and taken again behind a longer copy.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Call = Callable[[], Any]

SAMPLE_MS = 1.0  # calls that take less are repeated within a sample
MOST_CALLS = 64
COPY_BYTES = 1 << 30
MATRIX = 8192
TRIES = 4  # of a sample that came too late
LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}  # float32 units of a multiprocessor; 128 on all others since


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call. late: samples that waited for the host in spite of everything; then it is too long."""

    median: float
    lower_quartile: float
    upper_quartile: float
    samples: int
    calls: int
    late: int


@dataclass
class Contender:
    """calls: the same operation, each on memory of its own, that are made in turn."""

    name: str
    calls: Sequence[Call]
    batch: int = 1  # calls in a sample
    copies: int = 1  # that keep the GPU busy meanwhile
    late: int = 0
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turn: Iterator[Call] = itertools.cycle(self.calls)

    def next_calls(self) -> list[Call]:
        return [next(self._turn) for _ in range(self.batch)]


class Host:
    """The CPU, so that the programs can be tried without a GPU."""

    name = model = "cpu"
    cache_bytes = 1 << 20  # not a measurement: two sets of buffers are enough here
    peaks: dict[str, float | None] = {"fp32": None, "bf16": None}

    def __init__(self) -> None:
        self.array_module: Any = np
        source = np.ones(1 << 22, np.uint8)
        target = np.zeros_like(source)
        times = [self.elapsed([lambda: np.copyto(target, source)], 0)[0] for _ in range(9)]
        self.copy_ms = statistics.median(times)
        self.bandwidth = 2 * source.nbytes / self.copy_ms * 1e3

    def elapsed(self, calls: Sequence[Call], copies: int) -> tuple[float, bool]:
        start = time.perf_counter()
        for call in calls:
            call()
        return 1e3 * (time.perf_counter() - start), False

    def synchronize(self) -> None:
        pass

    def release(self) -> None:
        pass


class Gpu:
    """The current CUDA device, its legacy default stream, which CuPy and PyTorch both use.

    bandwidth: of a device-to-device copy, read and written bytes per second, measured here. peaks, operations per
    second: fp32, the FMA units times the highest clock of the multiprocessors, two operations each; bf16, of PyTorch's
    product of two matrices, measured here.
    """

    name = "cuda"

    def __init__(self) -> None:
        import cupy

        self._cuda = cupy.cuda
        self.array_module: Any = cupy
        attribute = cupy.cuda.runtime.deviceGetAttribute
        runtime, device = cupy.cuda.runtime, cupy.cuda.runtime.getDevice()
        self.cache_bytes = attribute(runtime.cudaDevAttrL2CacheSize, device)
        self.multiprocessors = attribute(runtime.cudaDevAttrMultiProcessorCount, device)
        self.clock_hz = 1e3 * attribute(runtime.cudaDevAttrClockRate, device)
        number = cupy.cuda.Device(device).compute_capability  # "90", "103"
        self.compute_capability = (int(number[:-1]), int(number[-1]))
        lanes = LANES.get(self.compute_capability, 128)
        self.model = cupy.cuda.runtime.getDeviceProperties(device)["name"].decode()
        self._source, self._target = (cupy.zeros(COPY_BYTES, np.uint8) for _ in range(2))
        self._copy()
        times = [self.elapsed([self._copy] * 4, 1)[0] / 4 for _ in range(9)]
        self.copy_ms = statistics.median(times)
        self.bandwidth = 2 * COPY_BYTES / self.copy_ms * 1e3
        self.peaks: dict[str, float | None] = {
            "fp32": 2 * lanes * self.multiprocessors * self.clock_hz, "bf16": self._tensor_flops()
        }  # fmt: skip

    def _tensor_flops(self) -> float | None:
        try:
            import torch
        except ImportError:
            return None
        a, b = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        torch.mm(a, b)
        times = [self.elapsed([lambda: torch.mm(a, b)] * 4, 1)[0] / 4 for _ in range(9)]
        return 2 * MATRIX**3 / statistics.median(times) * 1e3

    def _copy(self) -> None:
        self._target.data.copy_from_device_async(self._source.data, COPY_BYTES)

    def elapsed(self, calls: Sequence[Call], copies: int) -> tuple[float, bool]:
        """Milliseconds of the calls together, and whether the GPU had to wait for the host to queue them."""
        begin, end = self._cuda.Event(), self._cuda.Event()
        for _ in range(copies):
            self._copy()
        begin.record()
        for call in calls:
            call()
        end.record()
        late = begin.done
        end.synchronize()
        return self._cuda.get_elapsed_time(begin, end), late

    def synchronize(self) -> None:
        self._cuda.runtime.deviceSynchronize()

    def release(self) -> None:
        """Hand memory back, so that the two libraries do not starve each other."""
        self.array_module.get_default_memory_pool().free_all_blocks()


Device = Host | Gpu


def measure(contenders: Sequence[Contender], device: Device, repeats: int) -> dict[str, Timing]:
    """The contenders' samples alternate, so that a moment of heat or of other work hits them all."""
    for contender in contenders:
        _prepare(contender, device)
    for _ in range(repeats):
        for contender in contenders:
            contender.times.append(_sample(contender, device))
    return {contender.name: _timing(contender) for contender in contenders}


def _prepare(contender: Contender, device: Device) -> None:
    """Warm up on all buffers, and choose how many calls make a sample."""
    for call in contender.calls:
        call()
    device.synchronize()
    one = min(device.elapsed([call], 1)[0] for call in list(contender.calls)[:3])
    contender.batch = max(1, min(MOST_CALLS, math.ceil(SAMPLE_MS / max(one, 1e-3))))
    start = time.perf_counter()
    for call in contender.next_calls():
        call()
    queued = 1e3 * (time.perf_counter() - start)
    device.synchronize()
    contender.copies = 1 + math.ceil(1.5 * queued / device.copy_ms)


def _sample(contender: Contender, device: Device) -> float:
    for _ in range(TRIES):
        total, late = device.elapsed(contender.next_calls(), contender.copies)
        if not late:
            return total / contender.batch
        contender.copies = min(2 * contender.copies, 64)
    contender.late += 1
    return total / contender.batch


def _timing(contender: Contender) -> Timing:
    lower, median, upper = (round(value, 6) for value in statistics.quantiles(contender.times, method="inclusive"))
    return Timing(median, lower, upper, len(contender.times), contender.batch, contender.late)
