"""Finds the compilers, and says in one line what is wrong with those that do not work.

Used by the build backend, by setup.py, and as a script by cuda.cmake when someone runs cmake by hand. Needs
the standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# CUDA 13.0 is the oldest toolkit of the major version: what it builds runs with every driver for CUDA 13.
# The metapackage pins its parts to each other; nvidia-cuda-nvcc alone would bring newer ones that do not fit.
CUDA_WHEELS = "cuda-toolkit[nvcc,cudart,cccl]==13.0.*"

CUDA_PROBE = """
#include <cuda_runtime.h>
__global__ void probe() {}
int main() { return static_cast<int>(cudaGetLastError()); }
"""
CXX_PROBE = """
#include <source_location>
int main() { return 0; }
"""


class BuildError(Exception):
    """The build cannot start. The text is one line: what is wrong, then the fix."""


@dataclass(frozen=True)
class Nvcc:
    path: str = ""  # empty: there is no nvcc to use
    lib_dir: str = ""  # where libcudart_static.a is, when nvcc does not know it itself
    problem: str = ""  # why there is no nvcc to use


@dataclass(frozen=True)
class CudaDecision:
    nvcc: Nvcc = Nvcc()
    why_not: str = ""  # what a build without _cuda says about itself at run time: the reason and the fix

    def cmake_variables(self) -> dict[str, str]:
        """What build_support/cuda.cmake reads."""
        return {
            "ALEXNET_NVCC": self.nvcc.path,
            "ALEXNET_NVCC_LIB_DIR": self.nvcc.lib_dir,
            "ALEXNET_WHY_NO_CUDA": self.why_not,
        }


def cuda_mode() -> str:
    mode = os.environ.get("ALEXNET_CUDA", "AUTO").upper()
    if mode not in ("AUTO", "ON", "OFF"):
        raise BuildError(f"ALEXNET_CUDA must be AUTO, ON or OFF, got {os.environ['ALEXNET_CUDA']!r}")
    return mode


def cuda_architectures() -> str:
    """ALEXNET_CUDA_ARCHS as CMake wants it; empty when it is not set."""
    parts = [part for part in re.split(r"[;,\s]+", os.environ.get("ALEXNET_CUDA_ARCHS", "")) if part]
    for part in parts:
        if not re.fullmatch(r"\d+[af]?(-real|-virtual)?|native|all|all-major", part):
            raise BuildError(f"ALEXNET_CUDA_ARCHS names no architecture: {part!r}; write '75-real;80;90a-real'")
    return ";".join(parts)


def check_cxx() -> None:
    """Raises BuildError unless there is a C++20 compiler and Python's header files."""
    if explicit := cmake_argument("CMAKE_CXX_COMPILER"):
        command = [explicit]
    elif explicit := os.environ.get("CXX"):
        command = shlex.split(explicit)
    else:
        # The order in which CMake looks.
        found = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)
        if found is None:
            raise BuildError(
                "no C++ compiler was found (looked for CXX, c++, g++ and clang++). "
                "Install one: 'apt install g++' on Debian or Ubuntu, 'dnf install gcc-c++' on Fedora or RHEL."
            )
        command = [found]
    error = try_compile([*command, "-std=c++20", "-fsyntax-only"], "probe.cpp", CXX_PROBE)
    if error:
        raise BuildError(
            f"the C++ compiler {shlex.join(command)} does not compile C++20: {error}. "
            "Install g++ 11 or newer ('apt install g++', 'dnf install gcc-c++'), or name another one in CXX."
        )
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise BuildError(
            f"Python's header files are missing ({include / 'Python.h'}). Install them: "
            "'apt install python3-dev' on Debian or Ubuntu, 'dnf install python3-devel' on Fedora or RHEL."
        )


def chosen_nvcc() -> str:
    """The nvcc that the user named; empty when the search is ours."""
    return cmake_argument("CMAKE_CUDA_COMPILER") or os.environ.get("CUDACXX", "")


def cmake_argument(variable: str) -> str:
    """The value that CMAKE_ARGS gives a CMake variable; empty when it gives none."""
    # "-D NAME=value" is "-DNAME=value" to CMake.
    arguments = re.sub(r"(^|\s)-D\s+", r"\1-D", os.environ.get("CMAKE_ARGS", ""))
    for argument in shlex.split(arguments):
        if found := re.fullmatch(rf"-D{variable}(?::\w+)?=(.*)", argument):
            return found[1]
    return ""


def find_nvcc(choice: str = "") -> Nvcc:
    """The first nvcc that compiles and links an empty kernel, or why there is none.

    Beside one that was chosen nothing else is tried: an explicit wish is granted or reported.
    """
    if choice := choice or chosen_nvcc():
        error = try_nvcc(Nvcc(choice))
        problem = f"{choice}, named by CUDACXX or CMAKE_CUDA_COMPILER, does not work: {error}"
        return Nvcc(problem=problem) if error else Nvcc(choice)
    problems = []
    for candidate in nvcc_candidates():
        error = try_nvcc(candidate)
        if not error:
            return candidate
        problems.append(f"{candidate.path} does not work: {error}")
    nothing = (
        "no nvcc was found (looked at CUDACXX, CUDA_HOME, CUDA_PATH, PATH, /usr/local/cuda and the "
        "nvidia-cuda-nvcc wheel)"
    )
    return Nvcc(problem="; ".join(problems) or nothing)


def nvcc_candidates() -> Iterator[Nvcc]:
    seen = set()
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    on_path = shutil.which("nvcc")
    paths = [*(f"{home}/bin/nvcc" for home in homes), on_path, "/usr/local/cuda/bin/nvcc"]
    for path in paths:
        if path and os.access(path, os.X_OK) and os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            yield Nvcc(path)
    if wheel := wheel_nvcc():
        yield wheel


def wheel_nvcc() -> Nvcc | None:
    try:
        files = importlib.metadata.files("nvidia-cuda-nvcc") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "nvcc":
            path = Path(os.fspath(file.locate())).resolve()
            # nvcc.profile names lib64, a wheel has lib.
            return Nvcc(str(path), lib_dir=str(path.parent.parent / "lib"))
    return None


def try_nvcc(nvcc: Nvcc) -> str:
    command = [nvcc.path, "-std=c++20"]
    if nvcc.lib_dir:
        command.append(f"-L{nvcc.lib_dir}")
    if host := cmake_argument("CMAKE_CUDA_HOST_COMPILER") or os.environ.get("CUDAHOSTCXX"):
        command += ["-ccbin", host]
    return try_compile(command, "probe.cu", CUDA_PROBE)


def try_compile(command: list[str], name: str, source: str) -> str:
    """Empty when the command compiles the source, else the line that says why not."""
    with tempfile.TemporaryDirectory(prefix="alexnet_cuda_probe_") as folder:
        (Path(folder) / name).write_text(source)
        try:
            # A fixed locale: the text is searched for the word "error".
            done = subprocess.run(
                [*command, name, "-o", "probe"],
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=300,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = next((line for line in lines if re.search(r"error|fatal|not found|No such", line)), None)
    return telling or (lines[0] if lines else f"exit status {done.returncode} and no output")


def decide_cuda(mode: str, choice: str = "") -> CudaDecision:
    """Whether this build has _cuda. Raises BuildError when it must (mode ON) and cannot."""
    if mode == "OFF":
        return CudaDecision(why_not="built with ALEXNET_CUDA=OFF; fix: ALEXNET_CUDA=AUTO pip install .")
    nvcc = find_nvcc(choice)
    if nvcc.path:
        return CudaDecision(nvcc)
    if mode == "ON":
        raise BuildError(
            f"ALEXNET_CUDA=ON, but {nvcc.problem}; fix: pip install '{CUDA_WHEELS}', or name an nvcc in "
            "CUDACXX, or do without by ALEXNET_CUDA=OFF"
        )
    if choice or chosen_nvcc():
        return CudaDecision(why_not=f"{nvcc.problem}; fix: name another, or none, then pip install .")
    host = "name a C++ compiler that this nvcc supports in CUDAHOSTCXX, or " if "does not work" in nvcc.problem else ""
    return CudaDecision(
        why_not=f"{nvcc.problem}; fix: {host}ALEXNET_CUDA=ON pip install . (brings a compiler for the time of the "
        "build, a download of 300 MB)"
    )


def main() -> None:
    """`python toolchain.py AUTO|ON|OFF [nvcc]` prints the decision as statements for CMake."""
    try:
        decision = decide_cuda(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    except BuildError as problem:
        print(f"message(FATAL_ERROR [==[{problem}]==])")
        return
    for name, value in decision.cmake_variables().items():
        print(f"set({name} [==[{value}]==])")


if __name__ == "__main__":
    main()
