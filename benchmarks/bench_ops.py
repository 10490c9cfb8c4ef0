"""Every operation of AlexNet's training step, alone, in float32: this package next to PyTorch's cuDNN and cuBLAS.

    python benchmarks/bench_ops.py [--only conv2] [--repeats 15] [--seconds 150] [--json FILE]
    python benchmarks/bench_ops.py --device cpu --scale small      try the program without a GPU

The shapes are those of the net of 2012, N = 128. PyTorch has TF32 off and cudnn.benchmark on, and runs in each layout;
the better one counts. Contenders alternate, times are medians between events (timing.py), and calls go around memory
of twice the L2 or more. Inputs are random, half zeros where a ReLU makes them. The first result of each contender is
compared with the other's before anything is timed: a row whose results differ has no time.

A row's floor is max(operations / peak, bytes / bandwidth): products with pixels that exist, at the highest clock of
the float32 units; each input read and each result written once, at the bandwidth of a copy measured here.
Exit status: 0; 1 if a row failed, differed or was left out for want of time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import SCALES, Case, Scale, conv_cases, linear_cases, torch
from cases_in_memory import cases_in_memory
from timing import Contender, Device, Gpu, Host, Timing, measure

OURS = "alexnet_cuda"
LARGEST_DIFFERENCE = 1e-4  # of norms. float32 in any order stays under it; TF32's is about 3e-4
MOST_SETS = 128  # of buffers


@dataclass(frozen=True)
class Row:
    """times in milliseconds by contender; difference: the largest of norms between ours and another result."""

    name: str
    problem: str = ""
    times: dict[str, Timing] | None = None
    best: str = ""  # of PyTorch's
    difference: float | None = None
    flops: float = 0.0
    bytes: int = 0
    floor_ms: float = 0.0

    @property
    def ours(self) -> float:
        return self.times[OURS].median if self.times else math.nan

    @property
    def theirs(self) -> float:
        return self.times[self.best].median if self.times and self.best else math.nan

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        if self.times:
            values["share_of_floor"] = self.floor_ms / self.ours
            values["times_pytorch"] = self.theirs / self.ours if self.best else None
        return values

    def __str__(self) -> str:
        if not self.times:
            return f"{self.name:<17} {self.problem}"
        mine = self.times[OURS]
        ms = f"{mine.median:9.4f} [{mine.lower_quartile:.4f}, {mine.upper_quartile:.4f}]"
        other = f"{self.theirs:9.4f} {self.best:<8}{self.theirs / self.ours:6.2f}x" if self.best else f"{'-':>25}"
        if self.flops:
            rate = f"{self.flops / mine.median / 1e9:8.2f} TFLOP/s"
        else:
            rate = f"{self.bytes / mine.median / 1e6:8.0f} GB/s   "
        late = "  waited for the host" if any(t.late for t in self.times.values()) else ""
        return f"{self.name:<17}{ms:<28}{other}  {rate}{self.floor_ms / self.ours:7.1%}{late}"


HEADER = f"{'operation':<17}{'ms [quartiles]':>20}{'PyTorch ms, best layout':>34}{'rate':>14}{'of floor':>12}"


def cases(scale: Scale) -> list[Case]:
    products = [case for layer in scale.layers for case in conv_cases(layer, scale.images)]
    linear = [case for name, size in scale.features.items() for case in linear_cases(name, *size, scale.images)]
    return [*products, *linear, *cases_in_memory(scale)]


def run(case: Case, device: Device, repeats: int) -> Row:
    """Draw, compare, time. Whatever goes wrong is the row's result."""
    try:
        host = case.draw()
        ours, theirs = contenders(case, host, device)
        difference = compare(case, host, ours, theirs)
        if difference is not None and not difference <= LARGEST_DIFFERENCE:
            return Row(case.name, f"DIFFERS from PyTorch: {difference:.1e} of the norm", difference=difference)
        times = measure([ours, *theirs], device, repeats)
    except Exception as error:
        return Row(case.name, f"FAILED: {type(error).__name__}: {error}".splitlines()[0])
    best = min((c.name for c in theirs), key=lambda name: times[name].median, default="")
    seconds = case.bytes / device.bandwidth
    if device.peak_flops:
        seconds = max(seconds, case.flops / device.peak_flops)
    return Row(case.name, "", times, best, difference, case.flops, case.bytes, 1e3 * seconds)


def contenders(case: Case, host: dict[str, Any], device: Device) -> tuple[Contender, list[Contender]]:
    """All contenders, each with so many sets of buffers that they do not fit the cache together."""
    sets = max(2, min(MOST_SETS, math.ceil(2 * device.cache_bytes / case.bytes)))
    xp = device.array_module
    # A copy even of the first: on the host the arrays themselves are what the results are compared with.
    arrays = [{name: xp.array(value) for name, value in host.items()} for _ in range(sets)]
    theirs = []
    if torch is not None:  # before ours runs, because the update works in place
        shared = [{name: torch.from_dlpack(value) for name, value in a.items()} for a in arrays]
        theirs = [Contender(name, [make(a) for a in shared]) for name, make in case.theirs.items()]
    return Contender(OURS, [case.ours(a, xp) for a in arrays]), theirs


def compare(case: Case, host: dict[str, Any], ours: Contender, theirs: list[Contender]) -> float | None:
    """The largest difference of norms from the others' results, or from the one expected; None without either."""
    mine = ours.calls[0]()
    if case.expected is not None:
        got, want = mine if isinstance(mine, np.ndarray) else mine.get(), case.expected(host).astype(np.float64)
        return float(np.linalg.norm(got - want) / np.linalg.norm(want))
    if not theirs:
        return None
    got = torch.from_dlpack(mine).double()
    others = [case.back(other.calls[0](), other.name).double() for other in theirs]
    return max(float((got - other).norm() / other.norm()) for other in others)


def set_up_pytorch() -> dict[str, Any]:
    """Full float32, and the best of cuDNN's algorithms for each shape; what is worth recording of it."""
    if torch is None:
        return {"torch": None}
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cudnn_benchmark_limit": torch.backends.cudnn.benchmark_limit,
        "tf32": False,
    }


def run_all(device: Device, chosen: list[Case], repeats: int, seconds: float, result: dict[str, Any], path: Any) -> int:
    """Rows as they come, on the screen and in the file; returns how many have no time."""
    begin = time.monotonic()
    print(HEADER)
    result["rows"] = []
    failed = 0
    for case in chosen:
        if time.monotonic() - begin > seconds:
            row = Row(case.name, f"left out: {seconds:g} s are over")
        else:
            row = run(case, device, repeats)
        device.release()
        if torch is not None and device.name == "cuda":
            torch.cuda.empty_cache()
        failed += not row.times
        result["rows"].append(row.as_json())
        if path:
            path.write_text(json.dumps(result, indent=1) + "\n")
        print(row, flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=tuple(SCALES), default="alexnet")
    parser.add_argument("--only", default="", metavar="TEXT", help="operations whose name has this in it")
    parser.add_argument("--repeats", type=int, default=15, help="samples of each contender (default 15)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no row after so many")
    parser.add_argument("--json", type=Path, help="write results to this file, after every row")
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error("argument --repeats: wanted at least 2")
    chosen = [case for case in cases(SCALES[options.scale]()) if options.only in case.name]
    if not chosen:
        parser.error(f"argument --only: no operation has {options.only!r} in its name")
    pytorch = set_up_pytorch()
    device: Device = Gpu() if options.device == "cuda" else Host()
    result: dict[str, Any] = {
        "pytorch": pytorch,
        "repeats": options.repeats,
        "bandwidth_of_a_copy": device.bandwidth,
        "peak_flops": device.peak_flops,
        "cache_bytes": device.cache_bytes,
    }
    peak = f"{device.peak_flops / 1e12:.1f} TFLOP/s" if device.peak_flops else "not known"
    print(f"copy {device.bandwidth / 1e9:.0f} GB/s read and written, float32 peak {peak}; PyTorch {pytorch['torch']}")
    failed = run_all(device, chosen, options.repeats, options.seconds, result, options.json)
    print(f"{len(chosen) - failed} of {len(chosen)} operations timed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
