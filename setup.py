"""Builds the compiled modules with CMake; everything else about the package is in pyproject.toml.

Environment: ALEXNET_CUDA=AUTO|ON|OFF, ALEXNET_CUDA_ARCHS (e.g. "75-real;80;90a-real"),
ALEXNET_BUILD_DIR, CMAKE_ARGS, CMAKE_BUILD_PARALLEL_LEVEL; CXX, CUDACXX and CUDAHOSTCXX name compilers.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
ENVIRONMENT_OF_CMAKE = ("CXX", "CXXFLAGS", "CUDAFLAGS", "CUDAHOSTCXX", "CUDAARCHS", "LDFLAGS")

sys.path.insert(0, str(ROOT / "build_support"))

import toolchain  # noqa: E402


class CMakeBuild(build_ext):
    """Runs CMake once for all extensions and takes from its output those that this machine could build."""

    def run(self) -> None:
        try:
            toolchain.check_cxx()
            arguments = configure_arguments()
        except toolchain.BuildError as problem:
            raise SystemExit(f"alexnet_cuda: {problem}") from None
        folder = build_folder()
        targets = [Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions]
        run_cmake(folder, arguments, [target.name for target in targets])
        for target in targets:
            # An editable checkout outlives a build: a module of an earlier one must not stay.
            target.unlink(missing_ok=True)
            built = folder / target.name
            if built.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(built, target)


def configure_arguments() -> list[str]:
    """Every setting, every time: what an earlier run left in CMake's cache may name a folder pip has deleted."""
    try:
        import pybind11
    except ImportError:
        raise toolchain.BuildError(missing("pybind11")) from None
    mode = toolchain.cuda_mode()
    decision = toolchain.decide_cuda(mode)
    arguments = [
        f"-S{ROOT}",
        "-GNinja",
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DALEXNET_CUDA={mode}",
        *(f"-D{name}={value}" for name, value in decision.cmake_variables().items()),
    ]
    if architectures := toolchain.cuda_architectures():
        arguments.append(f"-DCMAKE_CUDA_ARCHITECTURES={architectures}")
    return [*arguments, *shlex.split(os.environ.get("CMAKE_ARGS", ""))]


def build_folder() -> Path:
    """Kept between builds, one for each Python: build/cp311-linux-x86_64."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}-{sysconfig.get_platform()}"
    return Path(os.environ.get("ALEXNET_BUILD_DIR") or ROOT / "build" / tag).resolve()


def run_cmake(folder: Path, arguments: list[str], outputs: list[str]) -> None:
    cmake = tool("cmake")
    folder.mkdir(parents=True, exist_ok=True)
    # CMake cannot change compilers in a folder it has configured, so other settings mean a fresh start.
    # Without build isolation they stay the same and the build is incremental; with it, they hold a temporary
    # folder of pip's, other each time.
    environment = [f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT_OF_CMAKE]
    used = "\n".join([cmake, *arguments, *environment])
    record = folder / "configured_with.txt"
    fresh = [] if record.exists() and record.read_text() == used else ["--fresh"]
    record.unlink(missing_ok=True)
    if fresh:
        for output in outputs:
            (folder / output).unlink(missing_ok=True)
    try:
        subprocess.run([cmake, *fresh, f"-B{folder}", *arguments], check=True)
        record.write_text(used)
        subprocess.run([cmake, "--build", str(folder)], check=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"alexnet_cuda: the build failed, see above: {shlex.join(error.cmd)}") from None


def tool(name: str) -> str:
    """cmake or ninja: the one installed beside this Python, which need not be on PATH, else the machine's."""
    if importlib.util.find_spec(name):
        module = importlib.import_module(name)
        folder = module.CMAKE_BIN_DIR if name == "cmake" else module.BIN_DIR
        return str(Path(folder) / name)
    if found := shutil.which(name):
        return found
    raise toolchain.BuildError(missing(name))


def missing(name: str) -> str:
    return f"{name} was not found. Install it: pip install -r build_support/requirements.txt"


setup(
    # The names of what CMake builds. _cuda is optional: it is there when nvcc was.
    ext_modules=[
        Extension("alexnet_cuda._emulated", sources=[]),
        Extension("alexnet_cuda._cuda", sources=[], optional=True),
    ],
    cmdclass={"build_ext": CMakeBuild},
)
