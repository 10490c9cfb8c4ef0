"""Compiles `_emulated` as the builds that look closer do (csrc/simt/emulator/README.md), for tests that load it.

The flags are those of `emulator/building.py`, at -O1, and so is the emulator's object. The bindings do nothing that
these builds look at: they are compiled once for both, without optimisation, which takes longest anyway. Objects are
kept under build/emulator_tests, named by the hash of all that goes into them.
"""

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

HERE = Path(__file__).resolve().parent
CSRC, WORK = building.CSRC, building.WORK
KERNELS = sorted((CSRC / "kernels").glob("*/*.cu"))
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


@dataclass(frozen=True)
class Planted:
    """A bug: in one kernel file, every match of a pattern replaced."""

    name: str
    file: str  # in csrc/kernels
    pattern: str
    replacement: str


def changed(path: Path, pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0, f"{path}: nothing matches {pattern!r} any more"
    return text


def module(build: str, planted: Planted | None = None) -> Path:
    """The path of `_emulated` in a build, "asan" or "race", with its kernels as they are or one of them spoiled."""
    kernels = [path for path in KERNELS if planted is None or path != CSRC / "kernels" / planted.file]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        emulator = pool.submit(building.emulator_object, build)
        bindings = [pool.submit(_object, path, "bindings", ["-O0"]) for path in BINDINGS]
        objects = [pool.submit(_object, path, build, _kernel_flags(build)) for path in kernels]
        if planted is not None:
            objects.append(pool.submit(_planted_object, planted, build))
        # The emulator first, the kernels last, as in CMakeLists.txt.
        files = [str(done.result()) for done in (emulator, *bindings, *objects)]
    folder = WORK / f"closer-{build}-{building.digest([], *files)}"
    target = folder / f"_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"
    return _made(target, lambda out: [*building.BUILDS[build]["link"], "-shared", *files, "-pthread", "-o", str(out)])


def _kernel_flags(build: str) -> list[str]:
    return ["-O1", *building.BUILDS[build]["program"]]


def _planted_object(planted: Planted, build: str) -> Path:
    source = CSRC / "kernels" / planted.file
    text = changed(source, planted.pattern, planted.replacement)
    spoiled = WORK / f"planted-{planted.name}-{building.digest([], text)}" / source.name
    spoiled.parent.mkdir(parents=True, exist_ok=True)
    spoiled.write_text(text)
    return _object(spoiled, build, _kernel_flags(build))


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
    tiles = changed(TILES, *FEW_MULTIPROCESSORS)
    folder = WORK / f"closer-headers-{building.digest([], tiles, CONFIG)}"
    for name, text in (("build_config.h", CONFIG), (str(TILES.relative_to(CSRC)), tiles)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
            partial.write_text(text)
            partial.replace(path)
    return folder


def _made(target: Path, command: Callable[[Path], list[str]]) -> Path:
    """Runs the compiler for a file that is not there yet."""
    if not target.exists():
        building.remove_older(target.parent.name.rpartition("-")[0] + "-*", target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"partial-{os.getpid()}-{target.name}")
        building.run_compiler(command(partial))
        partial.replace(target)
    return target


def run(build: str, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs closer_run.py with a module of `module`."""
    return _python(build, str(HERE / "closer_run.py"), str(path), *arguments)


def run_code(build: str, path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs a few lines, which can import closer_run and find the module's path in sys.argv[1]."""
    return _python(build, "-c", f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{code}", str(path))


def _python(build: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, ALEXNET_THREADS="1")
    if build == "asan":
        command = [*building.CXX.split(), "-print-file-name=libasan.so"]
        library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        environment |= {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}  # Python's are its own business
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
