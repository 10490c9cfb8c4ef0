"""The rates that the plan of the bf16 kernels rests on (probes.cu), measured on this machine's GPU.

    python benchmarks/bench_probes.py [--json FILE]

Needs nvcc and a GPU of compute capability 9.0. Beside each rate stands what the plan assumes of an H200 (cost.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cost

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent / "csrc"
SOURCES = (HERE / "probes.cu", CSRC / "kernels" / "gemm" / "sum_partials.cu")

# A multiprocessor's tensor cores do 64 x 256 x 16 products in 128 cycles; narrower ones wait for shared memory.
ASSUMED = {
    "patch_boxes": cost.L2_BANDWIDTH / 1e12,
    "tile_boxes": cost.L2_BANDWIDTH / 1e12,
    **{
        f"wgmma_{n}_columns": cost.TENSOR_FLOPS * cost.width_efficiency(n) / 1e12
        for n in (64, 96, 128, 192, 256)
    },
    # Four parts of 4096 x 128 sums read, and one written.
    "sum_partials": 1e6 * (5 * 4096 * 128 * 4 / cost.BANDWIDTH + cost.PER_LAUNCH_S),
}  # fmt: skip


def build(folder: Path, nvcc: str) -> Path:
    """Raises CalledProcessError when nvcc refuses."""
    program = folder / "probes"
    command = [nvcc, "-std=c++20", "-O3", "-gencode=arch=compute_90a,code=sm_90a", f"-I{CSRC}", *SOURCES, "-o", program]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return program


def parsed(output: str) -> dict[str, tuple[float, str]]:
    """Value and unit of each probe."""
    found = {}
    for line in output.splitlines():
        name, value, unit = line.split()
        found[name] = (float(value), unit)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rates to this file")
    parser.add_argument("--nvcc", default=shutil.which("nvcc"), help="the compiler (default: on the PATH)")
    options = parser.parse_args()
    if options.nvcc is None:
        parser.error("nvcc is not on the PATH; name it with --nvcc")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([build(Path(folder), options.nvcc)], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        return 1
    rates = parsed(done.stdout)
    for name, (value, unit) in rates.items():
        print(f"{name:<20}{value:10.4g} {unit:<8} assumed {ASSUMED[name]:.4g}")
    if options.json:
        rows = {n: {"value": value, "unit": unit, "assumed": ASSUMED[n]} for n, (value, unit) in rates.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
