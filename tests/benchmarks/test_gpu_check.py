"""The programs behind make gpu-check, as far as they run without a GPU."""

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import bench_ops
import cost
import gpu_check
import gpu_check_stages
import h200
import numpy as np
import pytest
import sanitized
from bench_cpu import LAYERS
from cases import Scale, small
from cases_in_memory import dropout_case
from gpu_check_stages import STAGES, Check, Done, Outcome, Stage, sanitizer_result
from kernels.tensor_cores import KINDS, choice
from timing import Host

from alexnet_cuda import ops
from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

GPU_CHECK = Path(gpu_check.__file__)
SCALES = {dtype.name: dataclasses.replace(small(), dtype=dtype) for dtype in (FLOAT32, BFLOAT16)}
CASES = bench_ops.cases(SCALES["float32"])
ALL_CASES = [(case, name) for name, scale in SCALES.items() for case in bench_ops.cases(scale)]


@pytest.fixture(scope="module")
def host():
    return Host()


@pytest.mark.parametrize("case", [c for c, _ in ALL_CASES], ids=[f"{c.name} {dtype}" for c, dtype in ALL_CASES])
def test_every_operation_is_timed(case, host):
    """And agrees with PyTorch's, where that is installed."""
    row = bench_ops.run(case, host, repeats=2)
    assert not row.problem
    assert row.ours > 0 and row.floor_ms > 0
    assert json.loads(json.dumps(row.as_json()))["name"] == case.name
    assert case.name in str(row)


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16], ids=str)
def test_a_wrong_result_is_not_timed(host, dtype):
    case = dropout_case((5, 4), dtype)
    wrong = dataclasses.replace(case, expected=lambda a: 1.01 * case.expected(a).astype(np.float32))
    assert bench_ops.run(wrong, host, repeats=2).problem.startswith("DIFFERS")


@pytest.mark.parametrize("layer", small().layers, ids=lambda layer: layer.name)
def test_floors_count_no_products_with_padding(layer):
    fprop = next(case for case in CASES if case.name == f"{layer.name} fprop")
    x, w = np.ones((*layer.x, small().images), np.float32), np.ones(layer.w, np.float32)
    y = ops.conv2d(x, w, stride=layer.stride, pad=layer.pad, groups=layer.groups)
    assert fprop.flops == 2 * y.sum(dtype=np.float64)


@pytest.mark.parametrize("images, wanted", [(128, (89, 120, 84)), (1024, (623, 887, 641))])
def test_the_model_of_conv2_in_microseconds(images, wanted):
    """The figures of the plan that the kernels are built to."""
    times = [cost.conv_ms(LAYERS[1], what, images) for what in ("fprop", "dgrad", "wgrad")]
    assert tuple(round(1e3 * ms) for ms in times) == wanted


def test_a_model_is_never_faster_than_the_floor():
    for case in bench_ops.cases(dataclasses.replace(Scale(), dtype=BFLOAT16)):
        floor = max(case.flops / cost.TENSOR_FLOPS, case.bytes / cost.BANDWIDTH)
        model = bench_ops.modelled_ms(case, 128)
        assert model > 1e3 * floor if case.name != "conv1 dgrad" else model is None


def test_sanitizers_begin_with_a_case_of_every_operation():
    first = sanitized.schedule("")[: len(OPERATIONS)]
    assert {operation.name for operation, *_ in first} == set(OPERATIONS)
    done = list(sanitized.run_until(time.monotonic() + 60, first, np))
    assert done == first


def test_sanitizers_see_the_kernels_of_hopper_next(monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "90")
    runs = sanitized.schedule("")[len(OPERATIONS) :][: len(sanitized.HOPPER)]
    assert {dtype for _, _, dtype, _ in runs} == {BFLOAT16} and {offset for *_, offset in runs} == {0}
    chosen = [f"{operation.name}: {choice(operation.name, case)}" for operation, case, *_ in runs]
    conv1 = [("conv2d", "64 images x 96 filters"), ("conv2d_wgrad", "96 filters x 384 inputs")]
    for name, text in [*((name, text) for name, text, _ in KINDS), *conv1]:
        assert any(re.match(f"{name}: tensor cores: .*{text}", line) for line in chosen), (name, text)
    with ops.backend("emulated"):
        assert list(sanitized.run_until(time.monotonic() + 60, runs, np)) == runs


@pytest.mark.parametrize(
    "output, status, passed, summary",
    [
        ("12 of 30 cases, 5 of 5 operations\n========= ERROR SUMMARY: 0 errors\n", 0, True, "0 errors (12 of 30"),
        ("12 of 30 cases, 5 of 5 operations\n========= ERROR SUMMARY: 1 error\n", 9, False, "1 errors (12 of 30"),
        (
            "========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)\n",
            9,
            False,
            "2 errors (exit status 9",
        ),
        ("conv2d, case 'x': E\n========= ERROR SUMMARY: 0 errors\n", 1, False, "0 errors (exit status 1"),
        ("========= Error: Device not supported\n", 1, False, "Error: Device not supported"),
        ("", None, False, "ended at its limit"),
    ],
)
def test_what_a_sanitizer_says(output, status, passed, summary):
    result = sanitizer_result(Done(status, output, 1.0))
    assert result["passed"] is passed
    assert result["summary"].startswith(summary)


@pytest.mark.parametrize(
    "line, passed", [("5 passed, 2 skipped, 9 deselected in 1.00s", True), ("7 skipped in 1.00s", False)]
)
def test_tests_that_were_all_skipped_are_no_success(line, passed, tmp_path, monkeypatch):
    check = Check(tmp_path / "log.txt", time.monotonic() + 60)
    monkeypatch.setattr(check, "command", lambda *_, **__: Done(0, f"sss\n{line}\n", 1.0))
    assert gpu_check_stages.tests(check) == Outcome(passed, line, {"failures": []})


class TestTable:
    """results/h200.json."""

    def all_rows(self, table):
        return [row for stage in h200.IMAGES for row in table[stage].values()]

    def test_without_a_result_nothing_was_measured(self):
        table = h200.table(None)
        assert table["measured"] == "not measured"
        assert {row[of] for row in self.all_rows(table) for of in ("measured_us", "pytorch_us")} == {"not measured"}
        models = [table[stage]["conv2 fprop"]["model_us"] for stage in h200.IMAGES]
        assert [round(us) for us in models] == [89, 623]

    def test_times_take_its_place(self):
        times = {name: {"median": ms} for name, ms in (("alexnet_cuda", 0.1), ("NCHW", 0.2))}
        rows = [
            {"name": "conv2 fprop", "times": times, "best": "NCHW"},
            {"name": "conv3 fprop", "times": None, "best": ""},
        ]
        result = {
            "started": "2030-01-01",
            "environment": {"gpus": [{"name": "NVIDIA H200"}]},
            "stages": {"bf16, 1024 images": {"data": {"rows": rows}}},
        }
        table = h200.table(result)
        assert table["measured"] == "2030-01-01"
        assert table["bf16, 1024 images"]["conv2 fprop"]["measured_us"] == 100
        assert table["bf16, 1024 images"]["conv2 fprop"]["pytorch_us"] == 200
        assert table["bf16, 1024 images"]["conv3 fprop"]["measured_us"] == "not measured"
        assert table["bf16, 128 images"]["conv2 fprop"]["measured_us"] == "not measured"

    def test_the_file_has_a_row_for_every_operation(self):
        table = json.loads(h200.TABLE.read_text())
        assert {stage: list(table[stage]) for stage in h200.IMAGES} == {
            stage: list(h200.rows_of(images, {})) for stage, images in h200.IMAGES.items()
        }
        measured = [row["measured_us"] for row in self.all_rows(table)]
        assert (table["measured"] == "not measured") == all(us == "not measured" for us in measured)


def test_a_stage_that_breaks_or_hangs_is_a_result(tmp_path):
    check = Check(tmp_path / "log.txt", time.monotonic() + 60)

    def hangs(check):
        done = check.command([sys.executable, "-c", "import time; print('begun'); time.sleep(60)"])
        return Outcome(done.status == 0, done.problem())

    broken, _ = gpu_check.run(Stage("broken", lambda check: 1 / 0, 5), check)
    assert broken == Outcome(False, "ZeroDivisionError: division by zero")
    hanging, seconds = gpu_check.run(Stage("hanging", hangs, 2), check)
    assert not hanging.passed and hanging.summary == "ended at its limit of 2 s: begun"
    assert seconds < 20
    assert "begun" in (tmp_path / "log.txt").read_text()


def test_without_a_driver_every_stage_says_so(tmp_path):
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [sys.executable, GPU_CHECK, "--out", tmp_path], env={"PATH": str(tmp_path / "bin")}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (path,) = tmp_path.glob("no-gpu-*.json")
    stages = json.loads(path.read_text())["stages"]
    assert list(stages) == [stage.name for stage in STAGES]
    assert {stage["summary"] for stage in stages.values()} == {
        "not measured: no NVIDIA driver (nvidia-smi is not on the PATH)"
    }
    assert done.stdout.count("not measured") == 2 * len(STAGES)  # as it goes, and in the table
