"""make gpu-check: everything that only a machine with an NVIDIA GPU can tell, in under eight minutes there.

    python3 benchmarks/gpu_check.py [--only STAGE] [--out DIR]

Builds the package in place with the Python that runs this and what is installed beside it, without the network: NumPy,
ml_dtypes, Pillow, rich, safetensors, matplotlib, pytest, CuPy, CMake, ninja, pybind11, setuptools; PyTorch to compare
with; nvcc and compute-sanitizer on the PATH. No setting of the GPU is changed.

Each stage reports, whatever became of the others. Results are written after each: to DIR, or else to
benchmarks/results/<gpu>-<date>.json; what the stages printed is in DIR, or build/gpu_check, as log.txt. Without a GPU
the file says so, and is in build/gpu_check too. Times of an H200 go into benchmarks/results/h200.json as well, which
says "not measured" until then. Exit status 1 if a stage failed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from gpu_check_stages import HERE, STAGES, WORK, Check, Outcome, Stage

TOTAL_S = 475  # all stages together, each ended at the latest then
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass
class Report:
    """What is written after each stage."""

    started: str
    environment: dict[str, object]
    stages: dict[str, dict[str, object]]
    path: Path

    def add(self, stage: Stage, outcome: Outcome, seconds: float) -> None:
        self.stages[stage.name] = {**asdict(outcome), "seconds": round(seconds, 1)}

    def data(self, stage: str) -> dict[str, object]:
        data = self.stages.get(stage, {}).get("data")
        return data if isinstance(data, dict) else {}

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = {"started": self.started, "environment": self.environment, "stages": self.stages}
        self.path.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def file_of(check: Check, out: Path | None, started: datetime) -> Path:
    gpu = re.sub(r"[^a-z0-9]+", "-", check.gpu.get("name", "no-gpu").lower()).strip("-")
    folder = out or (RESULTS if check.gpu else WORK)
    return folder / f"{gpu}-{started:%Y-%m-%d}.json"


def run(stage: Stage, check: Check) -> tuple[Outcome, float]:
    begin = time.monotonic()
    check.allow(stage.seconds)
    try:
        if check.gpu_problem and stage.needs_gpu:
            outcome = Outcome(False, f"not measured: {check.gpu_problem}")
        else:
            outcome = stage.run(check)
    except Exception as error:  # a stage must not take the others with it
        outcome = Outcome(False, f"{type(error).__name__}: {error}".splitlines()[0])
    return outcome, time.monotonic() - begin


def update_table(report: Report, check: Check) -> None:
    """h200.py, if this run has what it wants."""
    timed = (f"bf16, {images} images" for images in (128, 1024))
    if "H200" in check.gpu.get("name", "") and all("rows" in report.data(stage) for stage in timed):
        check.allow(20)
        print(check.command([sys.executable, HERE / "h200.py", report.path]).last_line())


def show(report: Report) -> None:
    width = max(map(len, report.stages))
    print(f"\n{'stage':{width}}  {'':6} {'s':>6}")
    for name, stage in report.stages.items():
        verdict = "passed" if stage["passed"] else "FAILED"
        print(f"{name:{width}}  {verdict} {stage['seconds']:6.1f}  {stage['summary']}")
    print(f"results: {report.path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [stage.name for stage in STAGES]
    parser.add_argument("--only", action="append", choices=names, help="this stage; may be repeated")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results and the log")
    options = parser.parse_args()
    started = datetime.now(timezone.utc)
    out = options.out.resolve() if options.out else None
    check = Check((out or WORK) / "log.txt", time.monotonic() + TOTAL_S)
    environment = check.look_around()
    report = Report(started.isoformat(timespec="seconds"), environment, {}, file_of(check, out, started))
    for stage in STAGES:
        if options.only and stage.name not in options.only:
            continue
        print(f"== {stage.name}", flush=True)
        outcome, seconds = run(stage, check)
        report.add(stage, outcome, seconds)
        report.write()
        print(f"   {'passed' if outcome.passed else 'FAILED'} after {seconds:.1f} s: {outcome.summary}", flush=True)
    update_table(report, check)
    show(report)
    return 0 if all(stage["passed"] for stage in report.stages.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
