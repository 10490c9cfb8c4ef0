"""What nvcc makes of every kernel: no spilled registers, and registers and shared memory within a declared budget.

Needs nvcc, no GPU. `pytest -s tests/kernels/test_compile_budget.py` prints the table. What nvcc said is kept in
pytest's cache until a kernel or a header changes.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = sorted((ROOT / "csrc" / "kernels").rglob("*.cu"))


def architectures(source: Path) -> tuple[str, ...]:
    return ("90a",) if source.parent.name == "hopper" else ("80", "90a")


@dataclass(frozen=True)
class Budget:
    kernel: str  # the first budget whose pattern fits a kernel's name is its own
    registers: int  # of a thread; a multiprocessor has 65536
    shared: int  # bytes, static
    why: str
    spilled: int = 0  # bytes written and read again


BUDGETS = (
    Budget(r"gemm_kernel<.*\(Read\)2, .*\(Read\)2>", 168, 20_000, "any matrix: one block of 256 threads at once"),
    Budget(r"gemm_kernel<Tile<4, 2,", 128, 20_000, "2 blocks of 256 threads at once"),
    Budget(r"gemm_kernel<Tile<4, 1,", 128, 12_000, "4 blocks of 128 threads at once"),
    Budget(r"conv_\w+_kernel<Tile<4, 2, 8, 8, 2>, float4>", 128, 20_000, "2 blocks of 256 threads at once"),
    Budget(r"conv_\w+_kernel<.*float4>", 170, 24_000, "384 threads at once, in blocks of 192, 128 or 64"),
    Budget(r"conv_\w+_kernel<.*float>", 255, 24_000, "the general path: single floats, 256 threads at once"),
    Budget(r"lrn_(forward|backward)_kernel<4", 128, 0, "a ring of four images in registers"),
    Budget(r"lrn_within_any_size", 64, 0, "any window; saved around calls of powf", spilled=40),
    Budget(r"lrn_within_\w+_kernel", 64, 9_000, "1024 threads at once"),
    Budget(r"pipeline_kernel<", 255, 0, "one block at once: its launch bounds are the limit"),
    Budget(r"max_pool_backward_kernel", 80, 0, "768 threads at once"),
    Budget(r".*", 64, 4_096, "1024 threads at once"),
)


@dataclass(frozen=True)
class Usage:
    """One kernel on one architecture, as ptxas reports it."""

    kernel: str
    architecture: str
    registers: int
    shared: int
    spilled: int  # bytes written and read again

    @property
    def budget(self) -> Budget:
        return next(budget for budget in BUDGETS if re.match(budget.kernel, self.kernel))

    @property
    def fits(self) -> bool:
        budget = self.budget
        limits = (budget.registers, budget.shared, budget.spilled)
        return all(
            used <= limit for used, limit in zip((self.registers, self.shared, self.spilled), limits, strict=True)
        )

    def __str__(self) -> str:
        budget = self.budget
        return (
            f"sm_{self.architecture:<3} {self.registers:3} of {budget.registers:3} registers, "
            f"{self.shared:5} of {budget.shared:5} bytes, {self.spilled:2} of {budget.spilled:2} spilled  {self.kernel}"
        )


REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\S+)' for 'sm_(?P<architecture>\w+)'.*?"
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def parsed(report: str) -> list[Usage]:
    """What ptxas -v printed, with readable names."""
    usages = []
    for match in REPORT.finditer(report):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        usages.append(
            Usage(
                readable(match["kernel"]),
                match["architecture"],
                int(match["registers"]),
                int(shared[1]) if shared else 0,
                int(match["stores"]) + int(match["loads"]),
            )
        )
    return usages


def readable(symbol: str) -> str:
    """A kernel's name with its template arguments, without namespaces and parameters."""
    name = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.strip()
    name = re.sub(r"alexnet::|\(anonymous namespace\)::|^void ", "", name)
    depth = 0
    for i in range(len(name) - 1, -1, -1):  # back to where the parameters begin
        depth += {")": 1, "(": -1}.get(name[i], 0)
        if depth == 0:
            return name[:i] if name.endswith(")") else name
    return name


def compiled(source: Path) -> list[Usage]:
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures(source)]
    command = ["nvcc", "-std=c++20", f"-I{ROOT / 'csrc'}", *targets, "-fatbin", "-Xptxas", "-v", str(source)]
    run = subprocess.run([*command, "-o", "/dev/null"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "serialized" not in run.stderr, "ptxas found accumulators in use while wgmma works on them: " + run.stderr
    return parsed(run.stderr)


def fingerprint(source: Path) -> str:
    """Of a source, all that it could include, and how the report is read."""
    headers = sorted(path for folder in ("kernels", "simt") for path in (ROOT / "csrc" / folder).rglob("*.h"))
    digest = hashlib.sha256(subprocess.run(["nvcc", "--version"], capture_output=True, check=True).stdout)
    for path in (source, Path(__file__), *headers):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def usages_of(source: Path, config: pytest.Config) -> list[Usage]:
    cache = getattr(config, "cache", None)
    key, mark = f"compile_budget/{source.parent.name}.{source.stem}", fingerprint(source)
    kept = cache.get(key, None) if cache else None
    if kept and kept["fingerprint"] == mark:
        return [Usage(**usage) for usage in kept["usages"]]
    usages = compiled(source)
    if cache:
        cache.set(key, {"fingerprint": mark, "usages": [asdict(usage) for usage in usages]})
    return usages


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None or shutil.which("c++filt") is None, reason="needs nvcc and c++filt")
@pytest.mark.parametrize("source", KERNELS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_kernels_stay_within_their_budget(source, pytestconfig):
    usages = usages_of(source, pytestconfig)
    text = source.read_text()
    assert len(usages) >= len(architectures(source)) * len(re.findall(r"__global__", text)), (
        "ptxas reported too few kernels"
    )
    for usage in usages:
        print(usage, file=sys.stdout)
    assert [str(usage) for usage in usages if not usage.fits] == []


SPILLS = """\
ptxas info    : Compiling entry function '_ZN7alexnet12_GLOBAL__N_119sum_partials_kernelEPKfiPf' for 'sm_80'
ptxas info    : Function properties for _ZN7alexnet12_GLOBAL__N_119sum_partials_kernelEPKfiPf
    16 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 65 registers, used 0 barriers, 16 bytes cumulative stack size, 5000 bytes smem, 416 bytes cmem[0]
"""


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="needs c++filt")
def test_what_exceeds_a_budget_is_seen():
    (usage,) = parsed(SPILLS)
    assert usage == Usage("sum_partials_kernel", "80", registers=65, shared=5000, spilled=20)
    assert not usage.fits
    fitting = {"registers": 64, "shared": 0, "spilled": 0}
    assert Usage("sum_partials_kernel", "80", **fitting).fits
    for name, excess in (("registers", 65), ("shared", 4097), ("spilled", 4)):
        assert not Usage("sum_partials_kernel", "80", **{**fitting, name: excess}).fits, name
