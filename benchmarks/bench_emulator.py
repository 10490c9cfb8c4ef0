"""What running a kernel on the emulator costs, in its three builds: a tiled float32 matrix product, a warp-specialised
one of bfloat16 on the matrix units, and what a thread, a barrier and a warp shuffle take.

    python benchmarks/bench_emulator.py [--rounds 5] [--json benchmarks/results/emulator-<machine>.json]

Needs a C++ compiler. Figures are the median of the rounds; builds take turns.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "emulator"))

import building  # noqa: E402

# Matrix size and number of barriers, so that each takes a fraction of a second.
SIZES = {"plain": ("768", "20000"), "asan": ("256", "2000"), "race": ("128", "500")}


def measure(build: str, threads: int) -> dict[str, float]:
    # -O3, as CMakeLists.txt compiles in a release.
    executable = building.program(HERE / "emulator.cpp", build, emulator_flags=("-O3",), program_flags=("-O3",))
    environment = {**os.environ, "ALEXNET_THREADS": str(threads), "ALEXNET_EMULATOR_SCHEDULE": "forward"}
    done = subprocess.run([executable, *SIZES[build]], check=True, capture_output=True, text=True, env=environment)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    cpus = len(os.sched_getaffinity(0))
    contenders = [("plain", 1), ("plain", cpus), ("asan", 1), ("race", 1)]
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for build, threads in contenders:
            runs.setdefault(f"{build}, {threads} CPU threads", []).append(measure(build, threads))
    table = {
        contender: {name: round(statistics.median(run[name] for run in results), 4) for name in results[0]}
        for contender, results in runs.items()
    }
    for contender, figures in table.items():
        print(contender)
        for name, value in figures.items():
            print(f"  {name:<28}{value:>10.3f}")
    if options.json:
        environment = {
            "cpu": cpu_name(),
            "cpus": cpus,
            "compiler": building.compiler_version().splitlines()[0],
            "date": date.today().isoformat(),
        }
        record = {"environment": environment, "rounds": options.rounds, "results": table}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
