"""What each operation of the net of 2012 takes on an H200 in bfloat16: the model's microseconds, and those measured.

    python benchmarks/h200.py [RESULT]

RESULT: a file of gpu_check.py from an H200. Writes results/h200.json: for 128 and 1024 images, a row for each operation
that bench_ops.py times. What RESULT has no time for is "not measured", which without RESULT is everything; a model of
null is a row without one. gpu_check.py calls this where it has timed both numbers of images, so that what was measured
takes the place of what was not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_ops import OURS, cases, modelled_ms
from cases import Scale

from alexnet_cuda.ops.arrays import BFLOAT16

TABLE = Path(__file__).resolve().parent / "results" / "h200.json"
NOT_MEASURED = "not measured"
IMAGES = {"bf16, 128 images": 128, "bf16, 1024 images": 1024}  # by stage of gpu_check.py


def microseconds(ms: float | None) -> float | None:
    return None if ms is None else round(1e3 * ms, 1)


def rows_of(images: int, timed: dict[str, dict[str, Any]]) -> dict[str, dict[str, float | str | None]]:
    """timed: rows of bench_ops.py by name, of those that have times."""
    rows: dict[str, dict[str, float | str | None]] = {}
    for case in cases(replace(Scale(), images=images, dtype=BFLOAT16)):
        row = rows[case.name] = {"model_us": microseconds(modelled_ms(case, images))}
        measured = timed.get(case.name)
        row["measured_us"] = microseconds(measured["times"][OURS]["median"]) if measured else NOT_MEASURED
        best = measured["best"] if measured else ""
        row["pytorch_us"] = microseconds(measured["times"][best]["median"]) if measured and best else NOT_MEASURED
    return rows


def table(result: dict[str, Any] | None) -> dict[str, Any]:
    stages = result["stages"] if result else {}
    timed = {
        stage: {row["name"]: row for row in stages.get(stage, {}).get("data", {}).get("rows", []) if row["times"]}
        for stage in IMAGES
    }
    return {
        "gpu": result["environment"]["gpus"][0]["name"] if result else "NVIDIA H200",
        "measured": result["started"] if result and any(timed.values()) else NOT_MEASURED,
        **{stage: rows_of(images, timed[stage]) for stage, images in IMAGES.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", nargs="?", type=Path, metavar="RESULT", help="a file of gpu_check.py")
    path = parser.parse_args().result
    result = json.loads(path.read_text(encoding="utf-8")) if path else None
    if result and "H200" not in str(result["environment"]["gpus"]):
        parser.error(f"argument RESULT: {path} is not from an H200")
    TABLE.write_text(json.dumps(table(result), indent=1) + "\n", encoding="utf-8")
    print(f"results: {TABLE}")


if __name__ == "__main__":
    main()
