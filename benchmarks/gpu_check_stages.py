"""The stages of gpu_check.py, in the order in which they run: a function each, which is given what is known so far.

On the standard library alone: this runs before anything is built.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / "build" / "gpu_check"
PACKAGES = (
    "numpy", "ml_dtypes", "pillow", "rich", "safetensors", "matplotlib", "torch", "cupy-cuda13x", "cupy-cuda12x",
    "pybind11", "cmake", "ninja", "setuptools", "pytest", "nvidia-cudnn-cu13", "nvidia-cublas",
)  # fmt: skip
SMI_FIELDS = (
    "name", "driver_version", "compute_cap", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem",
    "clocks.max.mem", "power.limit", "power.draw", "temperature.gpu", "persistence_mode", "ecc.mode.current",
    "utilization.gpu",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """summary: one line."""

    passed: bool
    summary: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A command that ended by itself, or (status None) that was ended at its limit."""

    status: int | None
    output: str
    seconds: float

    def last_line(self) -> str:
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "no output"

    def problem(self) -> str:
        """Why it failed, in a line; empty if it did not."""
        if self.status == 0:
            return ""
        what = f"ended at its limit of {self.seconds:.0f} s" if self.status is None else f"exit status {self.status}"
        telling = [line.strip() for line in self.output.splitlines() if re.search(r"\berror\b|Error:", line)]
        return f"{what}: {telling[-1][:300] if telling else self.last_line()}"


class Check:
    """What the stages share: the GPU as the driver names it, or why there is none; the time left; the log."""

    def __init__(self, log: Path, end: float) -> None:
        self.gpu: dict[str, str] = {}
        self.gpu_problem = ""
        self._log, self._end = log, end
        self._stage_end = end
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")

    def allow(self, seconds: float) -> None:
        """The limit of the stage that begins now."""
        self._stage_end = min(time.monotonic() + seconds, self._end)

    def command(self, arguments: Sequence[str | Path], limit: float = float("inf"), **environment: str) -> Done:
        """Run a program in the source folder until it ends or time is up; nothing of it stays behind."""
        begin = time.monotonic()
        limit = max(0.1, min(limit, self._stage_end - begin))
        # The package is built in place, so this path finds it even where pip could not note that it is installed.
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
        try:
            process = subprocess.Popen(
                list(map(str, arguments)), cwd=ROOT, env=settings, text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return Done(127, f"error: {arguments[0]}: {error.strerror}", 0.0)
        status: int | None
        try:
            output, _ = process.communicate(timeout=limit)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            status = None
        done = Done(status, output, time.monotonic() - begin)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(map(str, arguments))}\n{output}\n[{status}, {done.seconds:.1f} s]\n\n")
        return done

    def look_around(self) -> dict[str, object]:
        """The machine, its GPU and what is installed. Settings are read, never changed."""
        self.allow(20)
        smi = self.smi()
        if isinstance(smi, str):
            self.gpu_problem = smi
        else:
            self.gpu = smi[0]
        git = self.command(["git", "describe", "--always", "--dirty", "--abbrev=40"])
        tools = {name: self.command([tool_path(name), "--version"]) for name in ("nvcc", "compute-sanitizer", "g++")}
        return {
            "gpus": smi,
            "git": git.last_line() if git.status == 0 else "unknown",
            "python": f"{platform.python_version()} at {sys.executable}",
            "system": platform.platform(),
            "cpus": len(os.sched_getaffinity(0)),
            "packages": {name: version for name in PACKAGES if (version := version_of(name))},
            "tools": {name: version_line(done) for name, done in tools.items()},
        }

    def smi(self) -> list[dict[str, str]] | str:
        """nvidia-smi's fields of each GPU, or why there are none."""
        if shutil.which("nvidia-smi") is None:
            return "no NVIDIA driver (nvidia-smi is not on the PATH)"
        done = self.command(["nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader"], 15)
        if done.status != 0 or not done.output.strip():
            return f"no NVIDIA GPU (nvidia-smi: {done.last_line()})"
        rows = [line.split(", ") for line in done.output.strip().splitlines()]
        return [dict(zip(SMI_FIELDS, row, strict=False)) for row in rows]


def version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def version_line(done: Done) -> str:
    """The line of a --version that has a number like 13.0 in it."""
    lines = [line.strip() for line in done.output.splitlines() if re.search(r"\d+\.\d+", line)]
    return "not found" if done.status != 0 or not lines else next((x for x in lines if "release" in x), lines[0])


def tool_path(name: str) -> str:
    """On the PATH, or where the CUDA toolkit of the nvcc there keeps it."""
    nvcc = shutil.which("nvcc")
    beside = Path(nvcc).resolve().parent / name if nvcc else Path(name)
    return shutil.which(name) or (str(beside) if beside.exists() else name)


# ---- stages


def environment(check: Check) -> Outcome:
    if check.gpu_problem:
        return Outcome(False, f"not measured: {check.gpu_problem}")
    gpu = check.gpu
    return Outcome(True, f"{gpu['name']}, driver {gpu['driver_version']}, compute capability {gpu['compute_cap']}")


def build(check: Check) -> Outcome:
    """For this GPU alone, which takes a third of the time of all."""
    capability = check.gpu["compute_cap"]
    # The instructions that only Hopper has are in 90a.
    architecture = "90a-real" if capability == "9.0" else f"{capability.replace('.', '')}-real"
    install = ["pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "--editable", "."]
    done = check.command([sys.executable, "-m", *install], ALEXNET_CUDA="ON", ALEXNET_CUDA_ARCHS=architecture)
    if done.status != 0:
        return Outcome(False, done.problem())
    ask = "import sys; from alexnet_cuda import config; print(config.show()); sys.exit(config.cuda_problem())"
    info = check.command([sys.executable, "-c", ask], 60)
    if info.status != 0:
        return Outcome(False, info.last_line())
    return Outcome(True, f"for {architecture} in {done.seconds:.0f} s", {"info": info.output.splitlines()})


def primitives(check: Check, name: str, architecture: str) -> Outcome:
    """The emulator's primitives against the GPU's: the very source that passes on the emulator."""
    if architecture != "-arch=native" and check.gpu["compute_cap"] != "9.0":
        return Outcome(True, f"for compute capability 9.0 alone, not {check.gpu['compute_cap']}")
    source, program = ROOT / "tests" / "emulator" / f"{name}.cu", WORK / name
    WORK.mkdir(parents=True, exist_ok=True)
    options: list[str | Path] = ["-std=c++20", architecture, f"-I{ROOT / 'csrc'}", source, "-o", program]
    compiled = check.command([tool_path("nvcc"), *options])
    if compiled.status != 0:
        return Outcome(False, f"nvcc: {compiled.problem()}")
    done = check.command([program], 30)
    lines = [line for line in done.output.splitlines() if ": " in line]
    wrong = [line for line in lines if not line.endswith(": passed")]
    wanted = source.read_text(encoding="utf-8").count('\n    {"')
    if wrong or done.status != 0 or len(lines) != wanted:
        return Outcome(False, wrong[0] if wrong else f"{len(lines)} of {wanted} ran: {done.last_line()}")
    return Outcome(True, f"{wanted} primitives behave as on the emulator")


def probes(check: Check) -> Outcome:
    """The rates that the plan of the bf16 kernels assumes."""
    if check.gpu["compute_cap"] != "9.0":
        return Outcome(True, f"for compute capability 9.0 alone, not {check.gpu['compute_cap']}")
    path = WORK / "probes.json"
    WORK.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    done = check.command([sys.executable, HERE / "bench_probes.py", "--nvcc", tool_path("nvcc"), "--json", path])
    print(done.output, end="")
    if done.status != 0:
        return Outcome(False, done.problem())
    rates = json.loads(path.read_text(encoding="utf-8"))
    return Outcome(True, f"{len(rates)} rates", {"rates": rates})


def tests(check: Check) -> Outcome:
    # That one compiles primitives.cu once more, for the emulator too.
    left_out = "tests/emulator/test_primitives.py::test_primitives_on_a_gpu"
    options = ["-q", "-m", "gpu", "--deselect", left_out, "-rfE", "--durations=5", "-p", "no:cacheprovider"]
    done = check.command([sys.executable, "-m", "pytest", *options], PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    failures = [line for line in done.output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.status is None:
        return Outcome(False, done.problem(), {"failures": failures})
    # Where no GPU can be used every test is skipped, which pytest calls success.
    passed = done.status == 0 and re.search(r"\b\d+ passed", done.last_line()) is not None
    return Outcome(passed, done.last_line().strip("= "), {"failures": failures})


def sanitizers(check: Check) -> Outcome:
    found = {}
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        arguments = [tool_path("compute-sanitizer"), "--tool", tool, "--print-limit", "20", "--error-exitcode", "9"]
        # Of ours, a call that fails raises; libraries try out what the driver has.
        arguments += ["--report-api-errors", "no"]
        script = [sys.executable, str(HERE / "sanitized.py"), "--seconds", "12"]
        found[tool] = sanitizer_result(check.command([*arguments, *script], 40))
    said = {result["summary"] for result in found.values()}
    summary = "; ".join(f"{tool} {result['summary']}" for tool, result in found.items())
    summary = f"all four: {said.pop()}" if len(said) == 1 else summary
    return Outcome(all(result["passed"] for result in found.values()), summary, found)


def sanitizer_result(done: Done) -> dict[str, Any]:
    """Errors as the tool counts them, and how many cases it saw."""
    counts = re.findall(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)", done.output)
    cases = re.search(r"^\d+ of \d+ cases, .*$", done.output, re.MULTILINE)
    if not counts:
        refused = re.search(r"^=* *(.*(?:not supported|Unable|Error:).*)$", done.output, re.MULTILINE)
        return {"passed": False, "summary": (refused.group(1) if refused else done.problem() or "no summary")[:200]}
    count = sum(int(number) for pair in counts for number in pair if number)
    kinds = r"=+ +(?:Invalid|Error|Uninit|Host|Race|Potential|Barrier|Divergent|Warning|Program)"
    first = [line.strip("= ") for line in done.output.splitlines() if re.match(kinds, line)]
    saw = cases.group(0) if cases else done.problem() or "no case ended"
    passed = count == 0 and done.status == 0 and cases is not None
    return {"passed": passed, "summary": f"{count} errors ({saw})", "errors": count, "first": first[:20]}


def timings(check: Check, precision: str, images: int, seconds: float) -> Outcome:
    """Rows begin within so many seconds."""
    path = WORK / f"timings-{precision}-{images}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    before = check.smi()
    what = ["--precision", precision, "--images", str(images), "--seconds", str(seconds)]
    done = check.command([sys.executable, HERE / "bench_ops.py", *what, "--json", path])
    print(done.output, end="")
    data: dict[str, Any] = {"gpu_before": before, "gpu_after": check.smi()}
    if path.exists():
        data |= json.loads(path.read_text(encoding="utf-8"))
    if "pytorch" in data and data["pytorch"]["torch"] is None:
        return Outcome(False, "PyTorch is not installed: nothing was compared", data)
    timed = re.search(r"^\d+ of \d+ operations timed$", done.output, re.MULTILINE)
    return Outcome(done.status == 0, timed.group(0) if timed else done.problem(), data)


def training(check: Check) -> Outcome:
    """Both towers on one GPU, through the command line."""
    run = WORK / "run"
    shutil.rmtree(run, ignore_errors=True)
    train = ["train", "--net", "alexnet_mini", "--devices", "cuda:0,cuda:0", "--epochs", "2", "--quiet"]
    done = check.command([sys.executable, "-m", "alexnet_cuda", *train, "--out", str(run)])
    if done.status != 0:
        return Outcome(False, done.problem())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    validation = [line for line in lines if line["kind"] == "validation"][-1]
    last = [line for line in lines if line["kind"] == "train" and line["epoch"] > 1]  # the first one warms up
    seconds = sum(line["seconds"] for line in last)
    rate = sum(line["seconds"] * line["images_per_second"] for line in last) / seconds
    summary = f"2 epochs in {done.seconds:.0f} s, top-1 {validation['top1']:.1%}, {rate:.0f} images/s in the second"
    learns = validation["top1"] > 0.2  # guessing is right for one in ten
    data = {"top1": validation["top1"], "images_per_second": rate, "seconds": done.seconds}
    return Outcome(learns, summary if learns else f"learns nothing: {summary}", data)


@dataclass(frozen=True)
class Stage:
    """seconds: its limit."""

    name: str
    run: Callable[[Check], Outcome]
    seconds: float
    needs_gpu: bool = True


STAGES = (
    Stage("environment", environment, 20, needs_gpu=False),
    Stage("build", build, 240),
    Stage(
        "Hopper primitives",
        partial(primitives, name="hopper_primitives", architecture="-gencode=arch=compute_90a,code=sm_90a"),
        90,
    ),
    Stage("primitives", partial(primitives, name="primitives", architecture="-arch=native"), 60),
    Stage("probes", probes, 60),
    Stage("tests", tests, 150),
    Stage("sanitizers", sanitizers, 120),
    Stage("bf16, 128 images", partial(timings, precision="bf16", images=128, seconds=50), 70),
    Stage("training", training, 60),
    Stage("bf16, 1024 images", partial(timings, precision="bf16", images=1024, seconds=70), 90),
    Stage("fp32, 128 images", partial(timings, precision="fp32", images=128, seconds=60), 80),
)
