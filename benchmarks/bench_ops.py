"""Every operation of AlexNet's training step, alone: this package next to PyTorch's cuDNN and cuBLAS.

    python benchmarks/bench_ops.py [--precision bf16] [--images 1024] [--only conv2] [--repeats 15] [--json FILE]
    python benchmarks/bench_ops.py --device cpu --scale small      try the program without a GPU

The shapes are those of the net of 2012. fp32 is float32 throughout; bf16 has activations and weights in bfloat16, sums
and weight gradients in float32. PyTorch has TF32 off and cudnn.benchmark on, and runs in each layout; the better one
counts. Contenders alternate, times are medians between events (timing.py), and calls go around memory
of twice the L2 or more. Inputs are random, half zeros where a ReLU makes them. The first result of each contender is
compared with the other's before anything is timed: a row whose results differ has no time.

A row's floor is max(operations / peak, bytes / bandwidth): products with pixels that exist; each input read and each
result written once. The bandwidth is that of a copy, measured here. The peak of fp32 is that of the float32 units at
their highest clock, of bf16 the rate of cuBLAS at a product of 8192^3, measured here. On an H200 a row in bf16 also
has the time of the model in cost.py.
Exit status: 0; 1 if a row failed, differed or was left out for want of time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cost
import numpy as np
from bench_cpu import LAYERS
from cases import SCALES, Case, Scale, conv_cases, linear_cases, torch
from cases_in_memory import cases_in_memory
from cases_of_updates import cases_of_updates
from timing import Contender, Device, Gpu, Host, Timing, measure

from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

OURS = "alexnet_cuda"
# Of norms. float32 in any order stays under it, TF32 is about 3e-4 off. Two results that were each rounded to bfloat16
# once differ by 2^-8 at most and by 2^-8 / sqrt(6) on average, 1.6e-3.
LARGEST_DIFFERENCE = {"fp32": 1e-4, "bf16": 3e-3}
MOST_SETS = 128  # of buffers
PRECISIONS = {"fp32": FLOAT32, "bf16": BFLOAT16}


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
    model_ms: float | None = None

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
            values["times_model"] = self.ours / self.model_ms if self.model_ms else None
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
        model = f"{mine.median / self.model_ms:7.2f}x" if self.model_ms else f"{'-':>8}"
        return f"{self.name:<17}{ms:<28}{other}  {rate}{self.floor_ms / self.ours:7.1%}{model}{late}"


HEADER = (
    f"{'operation':<17}{'ms [quartiles]':>20}{'PyTorch ms, best layout':>34}{'rate':>14}{'of floor':>12}{'of model':>9}"
)


def cases(scale: Scale) -> list[Case]:
    images, dtype = scale.images, scale.dtype
    products = [case for layer in scale.layers for case in conv_cases(layer, images, dtype)]
    linear = [case for name, size in scale.features.items() for case in linear_cases(name, *size, images, dtype)]
    return [*products, *linear, *cases_in_memory(scale), *cases_of_updates(scale, products)]


def modelled_ms(case: Case, images: int) -> float | None:
    """What cost.py says of a case of AlexNet in bf16; None for the gradient of the images, which no step asks for."""
    name, _, what = case.name.partition(" ")
    if case.name == "conv1 dgrad":
        return None
    layer = next((layer for layer in LAYERS if layer.name == name), None)
    if layer is not None and what in ("fprop", "dgrad", "wgrad"):
        return cost.conv_ms(layer, what, images)
    return cost.gemm_ms(case.flops, case.bytes)


def run(case: Case, device: Device, repeats: int, model_ms: float | None = None) -> Row:
    """Draw, compare, time. Whatever goes wrong is the row's result."""
    precision = "bf16" if case.halved else "fp32"
    try:
        host = {name: halved(value) if name in case.halved else value for name, value in case.draw().items()}
        ours, theirs = contenders(case, host, device)
        difference = compare(case, host, ours, theirs)
        if difference is not None and not difference <= case.slack * LARGEST_DIFFERENCE[precision]:
            return Row(case.name, f"DIFFERS from PyTorch: {difference:.1e} of the norm", difference=difference)
        times = measure([ours, *theirs], device, repeats)
    except Exception as error:
        return Row(case.name, f"FAILED: {type(error).__name__}: {error}".splitlines()[0])
    best = min((c.name for c in theirs), key=lambda name: times[name].median, default="")
    seconds = case.bytes / device.bandwidth
    if peak := device.peaks[precision]:
        seconds = max(seconds, case.flops / peak)
    return Row(case.name, "", times, best, difference, case.flops, case.bytes, 1e3 * seconds, model_ms)


def halved(value: np.ndarray) -> np.ndarray:
    return value.astype(BFLOAT16)


def as_torch(array: Any) -> Any:
    """The same memory as a tensor. DLPack does not carry NumPy's bfloat16, so it goes as 16 bits."""
    if array.dtype == BFLOAT16:
        return torch.from_dlpack(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_dlpack(array)


def contenders(case: Case, host: dict[str, Any], device: Device) -> tuple[Contender, list[Contender]]:
    """All contenders, each with so many sets of buffers that they do not fit the cache together."""
    sets = max(2, min(MOST_SETS, math.ceil(2 * device.cache_bytes / case.bytes)))
    xp = device.array_module
    # A copy even of the first: on the host the arrays themselves are what the results are compared with.
    arrays = [{name: xp.array(value) for name, value in host.items()} for _ in range(sets)]
    theirs = []
    if torch is not None:  # before ours runs, because the update works in place
        shared = [{name: as_torch(value) for name, value in a.items()} for a in arrays]
        for name, make in case.theirs.items():
            with suppress(NotImplementedError):  # PyTorch has not everything for bfloat16 on the CPU
                theirs.append(Contender(name, [make(a) for a in shared]))
    return Contender(OURS, [case.ours(a, xp) for a in arrays]), theirs


def compare(case: Case, host: dict[str, Any], ours: Contender, theirs: list[Contender]) -> float | None:
    """The largest difference of norms from the others' results, or from the one expected; None without either."""
    mine = ours.calls[0]()
    if case.expected is not None:
        got = (mine if isinstance(mine, np.ndarray) else mine.get()).astype(np.float64)
        want = case.expected(host).astype(np.float64)
        return float(np.linalg.norm(got - want) / np.linalg.norm(want))
    if not theirs:
        return None
    got = as_torch(mine).double()
    differences = []
    for other in list(theirs):
        try:
            result = case.back(other.calls[0](), other.name).double()
        except NotImplementedError:  # as above
            theirs.remove(other)
            continue
        differences.append(float((got - result).norm() / result.norm()))
    return max(differences, default=None)


def set_up_pytorch() -> dict[str, Any]:
    """Full float32, and the best of cuDNN's algorithms for each shape; what is worth recording of it."""
    if torch is None:
        return {"torch": None}
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cudnn_benchmark_limit": torch.backends.cudnn.benchmark_limit,
        "tf32": False,
    }


def run_all(device: Device, scale: Scale, options: argparse.Namespace, result: dict[str, Any]) -> int:
    """Rows as they come, on the screen and in the file; returns how many have no time."""
    repeats, seconds, path = options.repeats, options.seconds, options.json
    chosen = [case for case in cases(scale) if options.only in case.name]
    if not chosen:
        raise SystemExit(f"argument --only: no operation has {options.only!r} in its name")
    modelled = "H200" in device.model and scale.dtype == BFLOAT16 and options.scale == "alexnet"
    begin = time.monotonic()
    print(HEADER)
    result["rows"] = []
    failed = 0
    for case in chosen:
        if time.monotonic() - begin > seconds:
            row = Row(case.name, f"left out: {seconds:g} s are over")
        else:
            row = run(case, device, repeats, modelled_ms(case, scale.images) if modelled else None)
        device.release()
        if torch is not None and device.name == "cuda":
            torch.cuda.empty_cache()
        failed += not row.times
        result["rows"].append(row.as_json())
        if path:
            path.write_text(json.dumps(result, indent=1) + "\n")
        print(row, flush=True)
    print(f"{len(chosen) - failed} of {len(chosen)} operations timed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=tuple(SCALES), default="alexnet")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32")
    parser.add_argument("--images", type=int, help="in a batch (default 128)")
    parser.add_argument("--only", default="", metavar="TEXT", help="operations whose name has this in it")
    parser.add_argument("--repeats", type=int, default=15, help="samples of each contender (default 15)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no row after so many")
    parser.add_argument("--json", type=Path, help="write results to this file, after every row")
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error("argument --repeats: wanted at least 2")
    scale = replace(SCALES[options.scale](), dtype=PRECISIONS[options.precision])
    scale = replace(scale, images=options.images or scale.images)
    pytorch = set_up_pytorch()
    device: Device = Gpu() if options.device == "cuda" else Host()
    result: dict[str, Any] = {
        "pytorch": pytorch,
        "precision": options.precision,
        "images": scale.images,
        "repeats": options.repeats,
        "bandwidth_of_a_copy": device.bandwidth,
        "peak_flops": device.peaks[options.precision],
        "cache_bytes": device.cache_bytes,
    }
    flops = device.peaks[options.precision]
    peak = f"{flops / 1e12:.1f} TFLOP/s" if flops else "not known"
    print(
        f"{options.precision}, {scale.images} images; copy {device.bandwidth / 1e9:.0f} GB/s read and written, peak "
        f"{peak}; PyTorch {pytorch['torch']}"
    )
    return 1 if run_all(device, scale, options, result) else 0


if __name__ == "__main__":
    sys.exit(main())
