"""Compiles `_emulated` as the builds that look closer do (csrc/simt/emulator/README.md), for tests that load it.

The flags are those of `emulator/building.py`, at -O1, and so is the emulator's object. The bindings do nothing that
these builds look at: they are compiled once for both, all at a time, without optimisation. Objects are kept under
build/emulator_tests, named by the hash of all that goes into them.
"""

import fcntl
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pybind11
from emulator import building

CSRC, WORK = building.CSRC, building.WORK
KERNELS = sorted((CSRC / "kernels").rglob("*.cu"))
BINDINGS = sorted((CSRC / "bindings").glob("*.cpp"))
HEADERS = sorted(path for path in CSRC.rglob("*.h") if "emulator_tests" not in path.parts)
BUILDS = ("asan", "race")

CONFIG = """\
#define ALEXNET_CXX_COMPILER "a compiler"
#define ALEXNET_WHY_NO_CUDA ""
"""
# Convolutions choose the largest tiles that keep this many multiprocessors busy: with two, small cases get all of them.
TILES = CSRC / "kernels" / "conv" / "tiles.h"
FEW_MULTIPROCESSORS = (r"kMultiprocessors = \d+", "kMultiprocessors = 2")
# The Hopper kernels, instances of one template, tell their names where TELL_PIPELINES is in the environment: all that
# there are when the module is loaded, and each that is launched.
PIPELINE = CSRC / "kernels" / "common" / "hopper" / "pipeline.h"
TELL = """\
#pragma once
#include <cstdio>
#include <cstdlib>
namespace alexnet {
template <class Problem>
bool tell_pipeline(const char* what) {
  if (std::getenv("TELL_PIPELINES") != nullptr) std::fprintf(stderr, "%s: %s\\n", what, __PRETTY_FUNCTION__);
  return true;
}
template <class Problem>
const bool kIsThere = tell_pipeline<Problem>("there is");
}  // namespace alexnet
#line 1 "kernels/common/hopper/pipeline.h"
"""
TELLING = (r"(?s)(void launch_pipeline\([^{]*\{)", r'\1 if (kIsThere<Problem>) tell_pipeline<Problem>("launched");')


@dataclass(frozen=True)
class Planted:
    """A bug: in one kernel file, or in a header as one kernel file sees it, every match of a pattern replaced."""

    file: str  # in csrc/kernels
    pattern: str
    replacement: str
    into: str = ""  # the kernel file, if `file` is a header

    @property
    def kernel(self) -> Path:
        return CSRC / "kernels" / (self.into or self.file)


def changed(path: Path, pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0, f"{path}: nothing matches {pattern!r} any more"
    return text


def module(build: str, planted: Planted | None = None) -> Path:
    """The path of `_emulated` in a build, "asan" or "race", with its kernels as they are or one of them spoiled."""
    kernels = [path for path in KERNELS if planted is None or path != planted.kernel]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        emulator = pool.submit(building.emulator_object, build)
        bindings = pool.submit(_bindings_object)
        objects = [pool.submit(_object, path, build, _kernel_flags(build)) for path in kernels]
        if planted is not None:
            objects.append(pool.submit(_planted_object, planted, build))
        # The emulator first, the kernels last, as in CMakeLists.txt.
        files = [str(done.result()) for done in (emulator, bindings, *objects)]
    folder = WORK / f"closer-{build}-{building.digest([], *files)}"
    target = folder / f"_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"
    return _made(target, lambda out: [*building.BUILDS[build]["link"], "-shared", *files, "-pthread", "-o", str(out)])


def _kernel_flags(build: str) -> list[str]:
    return ["-O1", *building.BUILDS[build]["program"]]


def _bindings_object() -> Path:
    """All bindings in one compiler run, which reads pybind11 once: a quarter of the time. Their unnamed namespaces use
    the same names, so each file gets a namespace in place of `alexnet`, in which it finds what is in that."""
    texts = {path.stem: path.read_text() for path in BINDINGS}
    module = texts.pop("module")
    lines = list(dict.fromkeys(re.findall(r"^#include .*$", "\n".join(texts.values()), re.MULTILINE)))
    for name, text in texts.items():
        own = f"bindings_of_{name}"
        lines += [f"namespace {own} {{ using namespace alexnet; }}", f"#define alexnet {own}", text, "#undef alexnet"]
        call = f"{own}::bind_{name}(module)"
        lines.append(f"void alexnet::bind_{name}(pybind11::module_& module) {{ {call}; }}")
    whole = "\n".join([*lines, module, ""])
    return _object(_written("bindings.cpp", whole), "bindings", ["-O0"])


def _written(name: str, text: str) -> Path:
    """A file of that text; `name` may have folders."""
    path = WORK / f"closer-source-{Path(name).stem}-{building.digest([], text)}" / name
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    """Whole or not at all: other processes, and other threads of this one, may want the same file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        partial.write_text(text)
        partial.replace(path)


def _planted_object(planted: Planted, build: str) -> Path:
    name = f"kernels/{planted.file}"
    spoiled = _written(name, changed(CSRC / name, planted.pattern, planted.replacement))
    if not planted.into:
        return _object(spoiled, build, _kernel_flags(build))
    folder = spoiled.parents[len(Path(name).parts) - 1]  # which the compiler searches first
    return _object(planted.kernel, build, [f"-I{folder}", *_kernel_flags(build)])


def _object(source: Path, kind: str, flags: list[str]) -> Path:
    flags = [
        "-std=c++20", "-fPIC", "-fvisibility=hidden", *flags, "-DALEXNET_MODULE=_emulated", f"-I{_changed_headers()}",
        f"-I{CSRC}", *(f"-isystem{path}" for path in (pybind11.get_include(), sysconfig.get_path("include"))),
    ]  # fmt: skip
    mark = building.digest([source, *HEADERS], building.compiler_version(), sys.version, CONFIG, *flags)
    target = WORK / f"closer-{source.stem}-{kind}-{mark}" / f"{source.stem}.o"
    return _made(target, lambda out: [*flags, "-x", "c++", "-c", str(source), "-o", str(out)])


def _changed_headers() -> Path:
    """A folder that the compiler searches before csrc."""
    files = {
        str(TILES.relative_to(CSRC)): changed(TILES, *FEW_MULTIPROCESSORS),
        str(PIPELINE.relative_to(CSRC)): TELL + changed(PIPELINE, *TELLING),
        "build_config.h": CONFIG,
    }
    folder = WORK / f"closer-headers-{building.digest([], *files.values())}"
    for name, text in files.items():
        _write(folder / name, text)
    return folder


def _made(target: Path, command: Callable[[Path], list[str]]) -> Path:
    """Runs the compiler for a file that is not there yet. Two processes may want the same: one waits for the other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            building.remove_older(target.parent.name.rpartition("-")[0] + "-*", target.parent)
            partial = target.with_name(f"partial-{target.name}")
            building.run_compiler(command(partial))
            partial.replace(target)
    return target


def run(build: str, path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs closer_run.py with a module of `module`, and with variables in its environment."""
    environment = {**os.environ, "ALEXNET_THREADS": "1", **variables}
    if build == "asan":
        command = [*building.CXX.split(), "-print-file-name=libasan.so"]
        library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        environment |= {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}  # Python's are its own business
    program = [sys.executable, str(Path(__file__).with_name("closer_run.py")), str(path)]
    return subprocess.run([*program, *arguments], capture_output=True, text=True, env=environment)


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What a run printed at its end."""
    return (done.stdout[-3000:] + done.stderr[-6000:]).strip()
