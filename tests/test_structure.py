"""The arrows of the house: who may import whom, in Python and in C++."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import alexnet_cuda
from alexnet_cuda.checks import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "alexnet_cuda"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of this package besides itself. `nn`, `data`, `train`, `interop` and `viz` are named
# before they exist, so that whoever builds them finds the plan here.
ALLOWED = {
    "errors": set(),
    "config": set(),
    "ops": {"errors", "config"},
    "checks": {"ops", "errors"},
    "nn": {"ops", "errors", "config"},
    "data": {"ops", "nn", "errors"},
    "train": {"nn", "ops", "data", "errors", "config"},
    "interop": {"nn", "train", "errors"},
    "viz": {"nn", "train", "errors"},
    "cli": {"checks", "train", "data", "interop", "viz", "nn", "ops", "errors", "config", "__init__"},
    "__main__": {"cli"},
    "__init__": {"ops", "checks", "nn", "data", "train", "errors", "config"},
}
NUMPY_ALONE = {"numpy", "itertools"}


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, at any depth; relative imports are resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def parts_imported(path: Path) -> set[str]:
    """Parts of this package that a file imports; names of the package itself count as `__init__`."""
    parts = set()
    for name in imported(path):
        head, _, rest = name.partition(".")
        if head == "alexnet_cuda":
            first = rest.partition(".")[0]
            known = first in ALLOWED or first.startswith(("_cuda", "_emulated"))
            parts.add(first if known else "__init__")
    return parts


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    part = part_of(path)
    assert part in ALLOWED, f"say in ALLOWED what the new part {part!r} may import"
    assert parts_imported(path) - {part} <= ALLOWED[part]


def test_the_reference_imports_numpy_alone():
    for path in (PACKAGE / "ops" / "reference").glob("*.py"):
        outside = {name.partition(".")[0] for name in imported(path)} - NUMPY_ALONE
        own = {name for name in imported(path) if name.startswith("alexnet_cuda")}
        assert outside <= {"alexnet_cuda"}, path
        assert all(name.startswith("alexnet_cuda.ops.reference") for name in own), path


def test_the_oracle_shares_nothing_with_what_it_judges():
    for path in (ROOT / "tests" / "oracle").glob("*.py"):
        assert not {name for name in imported(path) if name.startswith("alexnet_cuda")}, path


def test_argparse_is_for_the_command_line():
    users = {part_of(path) for path in SOURCES if "argparse" in {n.partition(".")[0] for n in imported(path)}}
    assert users == {"cli"}


def test_cupy_is_imported_inside_functions_only():
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "cupy" not in ast.unparse(node), path


def includes(path: Path) -> set[str]:
    return set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE))


def c_sources(folder: str) -> list[Path]:
    return [path for path in (ROOT / "csrc" / folder).rglob("*") if path.suffix in {".h", ".cuh", ".cu", ".cpp"}]


STANDARD_HEADERS = {
    "algorithm", "array", "cmath", "cstddef", "cstdint", "cstring", "limits", "stdexcept", "string", "type_traits",
    "utility",
}  # fmt: skip
BANNED_IN_KERNELS = re.compile(
    r"<<<|\b__shared__\b|\b(__)?asm(__)?\b|#\s*(if|ifdef|ifndef|elif)\b.*(SIMT_|__CUDA|__GNUC__|__NVCC__)"
    # Fast approximations: their bits differ between GPU models.
    r"|\b__(exp|exp10|log|log2|log10|pow|sin|cos|tan)f\b|\b__fdividef\b"
)


def faults_of_a_kernel_file(text: str) -> list[str]:
    """What a file in csrc/kernels holds that would tie it to one compiler or to Python."""
    faults = [match[0] for match in BANNED_IN_KERNELS.finditer(re.sub(r"//.*", "", text))]
    for include in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE):
        if include not in STANDARD_HEADERS | {"simt/simt.h", "simt/hopper.h"} and not include.startswith("kernels/"):
            faults.append(include)
    return faults


def test_kernels_know_simt_and_nothing_above_or_beside_it():
    assert c_sources("kernels")
    for path in c_sources("kernels"):
        assert faults_of_a_kernel_file(path.read_text()) == [], path


@pytest.mark.parametrize(
    "line",
    [
        "#if SIMT_EMULATED",
        "#ifdef __CUDA_ARCH__",
        "# if defined(__CUDACC__)",
        '__asm__("");',
        'asm volatile("bar.sync 0;");',
        "kernel<<<1, 1>>>();",
        "y = __expf(x);",
        "__shared__ float tile[32];",
        '#include "simt/emulator/emulator.h"',
        "#include <cuda_runtime.h>",
        "#include <Python.h>",
        '#include "bindings/bindings.h"',
    ],
)
def test_what_a_kernel_file_must_not_hold_is_seen(line):
    assert faults_of_a_kernel_file(f'#include "simt/simt.h"\n{line}\n')


def test_simt_knows_neither_kernels_nor_bindings():
    for path in c_sources("simt"):
        for include in includes(path):
            assert not include.startswith(("kernels", "bindings", "pybind11")), (path, include)


def test_nothing_in_c_ends_the_process():
    for path in c_sources("."):
        assert not re.search(r"\b(exit|abort|_Exit|terminate)\s*\(|\bassert\s*\(", path.read_text()), path


def test_every_operation_says_what_it_returns_and_raises():
    for name in OPERATIONS:
        doc = inspect.getdoc(getattr(alexnet_cuda.ops, name))
        assert re.search(r"Raises|[Pp]arameters and errors are", doc), name
        assert re.search(r"[Rr]eturns|result has too|[Ii]n place|Gradient of", doc), name
