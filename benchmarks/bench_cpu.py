"""The CPU backend against what NumPy can do at best: convolution against its bare matrix product, the memory it
takes, and normalisation and pooling in elements per second.

    python benchmarks/bench_cpu.py [--rounds 15] [--json benchmarks/results/cpu-<machine>.json]

The contenders of a table alternate, so that a busy moment hits them all; times are medians in milliseconds.
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_cuda import ops
from alexnet_cuda.ops._cpu import parallel

FLOAT = np.dtype(np.float32)
Contenders = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Conv:
    """A layer of AlexNet (2012): image (C, H, W), filters (C/groups, R, S, K)."""

    name: str
    x: tuple[int, int, int]
    w: tuple[int, int, int, int]
    stride: int = 1
    pad: int = 0
    groups: int = 1

    @property
    def outputs(self) -> int:
        """Height and width of the output."""
        return 1 + (self.x[1] + 2 * self.pad - self.w[1]) // self.stride


LAYERS = (
    Conv("conv1", (3, 227, 227), (3, 11, 11, 96), stride=4),
    Conv("conv2", (96, 27, 27), (48, 5, 5, 256), pad=2, groups=2),
    Conv("conv3", (256, 13, 13), (256, 3, 3, 384), pad=1),
    Conv("conv4", (384, 13, 13), (192, 3, 3, 384), pad=1, groups=2),
    Conv("conv5", (384, 13, 13), (192, 3, 3, 256), pad=1, groups=2),
)
BATCHES = (1, 16, 128)


@dataclass(frozen=True)
class Timing:
    """Of one contender, in milliseconds. ratio: median over that of the table's first contender."""

    median: float
    lower_quartile: float
    upper_quartile: float
    minimum: float
    ratio: float


def measure(contenders: Contenders, rounds: int) -> dict[str, Timing]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn:  # the first one warms up
                times[name].append(1e3 * (time.perf_counter() - start))
    first = statistics.median(next(iter(times.values())))
    return {name: timing(values, first) for name, values in times.items()}


def timing(values: list[float], first: float) -> Timing:
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Timing(*(round(value, 3) for value in (median, lower, upper, min(values), median / first)))


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape, dtype=FLOAT)


def conv_passes(layer: Conv, images: int) -> Contenders:
    """The three passes, on arrays that exist already."""
    K, P = layer.w[3], layer.outputs
    x, w, b, dy = normal(*layer.x, images), normal(*layer.w), normal(K), normal(K, P, P, images)
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    where: dict[str, Any] = {"stride": layer.stride, "pad": layer.pad, "groups": layer.groups, "ceil_mode": False}
    return {
        "forward": lambda: ops.conv2d(x, w, b, relu=True, out=y, **where),
        "dgrad": lambda: ops.conv2d_dgrad(dy, w, x.shape, out=dx, **where),
        "wgrad": lambda: ops.conv2d_wgrad(x, dy, w.shape, out=dw, **where),
    }


def bare_product(layer: Conv, images: int) -> Callable[[], None]:
    """numpy.matmul alone on matrices of the forward pass, once for each group."""
    a = normal(layer.w[3] // layer.groups, math.prod(layer.w[:3]))
    b = normal(a.shape[1], layer.outputs**2 * images)
    c = np.zeros((a.shape[0], b.shape[1]), FLOAT)

    def product() -> None:
        for _ in range(layer.groups):
            np.matmul(a, b, out=c)

    return product


def conv_table(rounds: int) -> dict[str, dict[str, Timing]]:
    print(f"\nconvolution, float32: ms (times the bare product of the forward pass)\n{'layer':<12}", end="")
    print("".join(f"{name:>20}" for name in ("numpy.matmul", "forward", "dgrad", "wgrad")))
    table = {}
    for images in BATCHES:
        for layer in LAYERS:
            name = f"{layer.name} N={images}"
            contenders = {"numpy.matmul": bare_product(layer, images), **conv_passes(layer, images)}
            table[name] = measure(contenders, rounds)
            cells = "".join(f"{t.median:>12.2f} ({t.ratio:4.2f}x)" for t in table[name].values())
            print(f"{name:<12}{cells}", flush=True)
    return table


def memory_table() -> dict[str, float]:
    """Largest amount of extra memory during one call, in MB; tracemalloc counts NumPy's buffers."""
    print("\nconv2, extra memory: MB")
    table = {}
    for images in (16, 128):
        for name, run in conv_passes(LAYERS[1], images).items():
            run()
            tracemalloc.start()
            run()
            table[f"{name} N={images}"] = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
            print(f"{name:<8} N={images:<4} {table[f'{name} N={images}']:8.1f}", flush=True)
    return table


def pixel_table(rounds: int) -> dict[str, object]:
    """Normalisation and 3/2 max-pooling of conv1's output, forward and backward."""
    x, dy = np.maximum(normal(96, 55, 55, 128), 0), normal(96, 55, 55, 128)
    y, dx, pooled_dy = np.zeros_like(x), np.zeros_like(x), normal(96, 27, 27, 128)
    norm: dict[str, Any] = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0, "groups": 1}
    window: dict[str, Any] = {"size": 3, "stride": 2, "pad": 0, "ceil_mode": False}
    pooled, arg = ops.max_pool(x, **window)
    times = measure(
        {
            "lrn": lambda: ops.lrn(x, out=y, **norm),
            "lrn_backward": lambda: ops.lrn_backward(x, dy, out=dx, **norm),
            "max_pool": lambda: ops.max_pool(x, out=(pooled, arg), **window),
            "max_pool_backward": lambda: ops.max_pool_backward(pooled_dy, arg, x.shape, out=dx, **window),
        },
        rounds,
    )
    total = sum(t.median for t in times.values())
    print(f"\nx {list(x.shape)}, {x.size / 1e6:.1f} million elements: ms, million elements of x per second")
    for name, t in times.items():
        print(f"{name:<20}{t.median:8.1f}{x.size / t.median / 1e3:10.0f}")
    print(f"{'together':<20}{total:8.1f}{x.size / total / 1e3:10.0f}")
    return {"ms": times, "elements": x.size, "elements_per_second_together": 1e3 * x.size / total}


def environment() -> dict[str, object]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "cpu": cpu_model(),
        "threads": parallel.threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "system": f"{platform.system()} {platform.machine()}",
        "date": date.today().isoformat(),
    }


class OtherWork:
    """What other processes took of all CPUs since this was made; None where the system does not say."""

    def __init__(self) -> None:
        self._begin = self._seconds()

    def share(self) -> float | None:
        if self._begin is None or (end := self._seconds()) is None:
            return None
        wall, busy, own = (e - b for b, e in zip(self._begin, end, strict=True))
        return round(max(busy - own, 0) / (wall * (os.cpu_count() or 1)), 3)

    def _seconds(self) -> tuple[float, float, float] | None:
        """(wall clock, all CPUs busy, this process busy)."""
        if not Path("/proc/stat").exists():
            return None
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, time.process_time()


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="timed calls of each contender (default 15)")
    parser.add_argument("--json", type=Path, help="write results and environment to this file")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("argument --rounds: wanted at least 2")

    result: dict[str, object] = {"environment": environment(), "rounds": options.rounds}
    others = OtherWork()
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    result["conv2d_ms"] = conv_table(options.rounds)
    result["conv2_extra_megabytes"] = memory_table()
    result["lrn_and_max_pool"] = pixel_table(options.rounds)
    result["share_of_cpus_taken_by_others"] = others.share()
    print(f"\nother processes took {others.share()} of the CPUs meanwhile")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, default=asdict) + "\n")
        print(f"wrote {options.json}")


if __name__ == "__main__":
    main()
