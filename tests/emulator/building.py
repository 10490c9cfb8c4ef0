"""Compiles the C++ sources of this folder with the emulator, in its three builds.

A program is built once for each state of its sources, the emulator and the compiler: its folder is named by their
hash, under build/emulator_tests, and old folders are removed.
"""

import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CSRC = ROOT / "csrc"
EMULATOR = CSRC / "simt" / "emulator"
WORK = ROOT / "build" / "emulator_tests"

CXX = os.environ.get("CXX", "g++")
# As in CMakeLists.txt, warnings are errors where asked for: a newer compiler may know more of them.
WERROR = ["-Werror"] if "ALEXNET_WERROR=ON" in os.environ.get("CMAKE_ARGS", "") else []
COMMON = ["-std=c++20", "-O1", "-fPIC", "-Wall", "-Wextra", *WERROR, f"-I{CSRC}"]
ADDRESS = ["-fsanitize=address", "-fno-omit-frame-pointer"]
UNDEFINED = ["-g1", "-fsanitize=undefined", "-fno-sanitize-recover=all"]

# How the emulator and how the programs are compiled, and what the linker is told.
BUILDS = {
    "plain": {"emulator": [], "program": [], "link": []},
    # g++ 12 takes temporaries of inlined functions for gone while they are in use.
    "asan": {
        "emulator": [*ADDRESS, "-fno-sanitize-address-use-after-scope"],
        "program": ADDRESS + UNDEFINED,
        "link": ["-fsanitize=address,undefined"],
    },
    # The programs report every access; the emulator, which is their runtime, does not.
    "race": {
        "emulator": ["-DSIMT_EMULATOR_RACE"],
        "program": ["-g1", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"],
        "link": [],
    },
}


class BuildError(RuntimeError):
    pass


def digest(files: list[Path], *texts: str) -> str:
    hasher = hashlib.sha256()
    for path in sorted(files):
        hasher.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    for text in texts:
        hasher.update(text.encode() + b"\0")
    return hasher.hexdigest()[:16]


def simt_files() -> list[Path]:
    return [path for path in (CSRC / "simt").rglob("*") if path.suffix in {".h", ".cpp"}]


@functools.cache
def compiler_version(compiler: str = CXX) -> str:
    return subprocess.run([*shlex.split(compiler), "--version"], check=True, capture_output=True, text=True).stdout


def run_compiler(arguments: list[str]) -> None:
    done = subprocess.run([*shlex.split(CXX), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{CXX} {shlex.join(arguments)}\n{done.stderr}")


@functools.cache
def emulator_object(build: str, extra: tuple[str, ...] = ()) -> Path:
    """All of the emulator in one object: one compiler run reads the headers once."""
    flags = [*COMMON, *BUILDS[build]["emulator"], *extra]
    folder = WORK / f"emulator-{build}-{digest(simt_files(), compiler_version(), *flags)}"
    target = folder / "emulator.o"
    if not target.exists():
        remove_older(f"emulator-{build}-*", folder)
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / "emulator.cpp"
        whole.write_text("".join(f'#include "{path}"\n' for path in sorted(EMULATOR.glob("*.cpp"))))
        partial = folder / f"partial-{os.getpid()}.o"
        run_compiler([*flags, "-c", str(whole), "-o", str(partial)])
        partial.replace(target)
    return target


@functools.cache
def program(
    source: str | Path, build: str, emulator_flags: tuple[str, ...] = (), program_flags: tuple[str, ...] = ()
) -> Path:
    """The executable of `source`, a file of this folder or a path of its own."""
    flags = [*COMMON, *BUILDS[build]["program"], *program_flags]
    path = HERE / source
    headers = list(HERE.glob("*.h"))
    name = f"{path.stem}-{build}"
    folder = WORK / f"{name}-{digest([path, *headers, *simt_files()], compiler_version(), *flags, *emulator_flags)}"
    target = folder / path.stem
    if not target.exists():
        remove_older(f"{name}-*", folder)
        folder.mkdir(parents=True, exist_ok=True)
        object_file = folder / f"{path.stem}-{os.getpid()}.o"
        run_compiler([*flags, "-x", "c++", "-c", str(path), "-o", str(object_file)])
        partial = folder / f"partial-{os.getpid()}"
        # The emulator first: of a template that both hold, the linker then keeps the copy that reports nothing.
        emulator = emulator_object(build, emulator_flags)
        run_compiler([*BUILDS[build]["link"], str(emulator), str(object_file), "-pthread", "-o", str(partial)])
        partial.replace(target)
    return target


def remove_older(pattern: str, keep: Path) -> None:
    """Folders of other states that nobody has used for a day."""
    for folder in WORK.glob(pattern):
        if folder != keep and time.time() - folder.stat().st_mtime > 86400:
            shutil.rmtree(folder, ignore_errors=True)


def build_together(wanted: list[tuple[str, str]]) -> None:
    """Compiles (source, build) pairs, as many at a time as there are CPUs."""
    builds = sorted({build for _, build in wanted})
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        list(pool.map(emulator_object, builds))
        list(pool.map(lambda pair: program(*pair), wanted))
