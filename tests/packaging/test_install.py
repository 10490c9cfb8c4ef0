"""Real installations into fresh environments, as a user makes them. Minutes, and the network: `make test-install`.

All but the last use one copy of the source tree, in this order, so that a module left by an earlier one shows.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
TOOLKIT = Path("/usr/local/cuda")
# For what the first test has shown of optimised modules and others ask of any: a third of the time.
QUICKLY = {"CMAKE_ARGS": "-DCMAKE_CXX_FLAGS_RELEASE=-O0"}
SETTINGS = ("CUDA_HOME", "CUDA_PATH", "CUDACXX", "CXX", "CMAKE_ARGS", "CUDAARCHS", "PYTHONPATH", "VIRTUAL_ENV")

RELU = """
import numpy as np
from alexnet_cuda import _emulated
x = np.array([-1.0, 0.0, 2.0, np.nan, 5.0], np.float32)
y = np.full_like(x, 7)
_emulated.relu_forward(x.ctypes.data, y.ctypes.data, x.size, "float32", (-1, 0))
np.testing.assert_array_equal(y, [0, 0, 2, np.nan, 5])
"""
MODULES = """
import importlib.util
print(*(name for name in ("_cuda", "_emulated") if importlib.util.find_spec("alexnet_cuda." + name)))
"""


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment. Nothing of this process' CUDA or compiler settings reaches its commands."""

    folder: Path

    def run(self, *command: str, prefix: tuple[str, ...] = (), **settings: str) -> subprocess.CompletedProcess:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in SETTINGS and not name.startswith("ALEXNET_")
        }
        inherited["PATH"] = f"{self.folder / 'bin'}:{inherited['PATH']}"
        return subprocess.run(
            [*prefix, *command],
            cwd=self.folder,  # not the source tree, whose alexnet_cuda would hide the installed one
            env={**inherited, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pip_install(self, *what: str | Path, **options) -> subprocess.CompletedProcess:
        python = str(self.folder / "bin" / "python")
        return self.run(python, "-m", "pip", "install", *map(str, what), **options)

    def python(self, program: str) -> str:
        done = self.run(str(self.folder / "bin" / "python"), "-c", program)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()


@pytest.fixture
def environment(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    return Environment(tmp_path / "venv")


def copy_of_the_tree(folder: Path) -> Path:
    made = (".git", ".venv", "build", "dist", "*.so", "*.egg-info", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*made)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return copy_of_the_tree(tmp_path_factory.mktemp("tree"))


def without_nvcc() -> tuple[str, ...]:
    """What to put before a command so that it finds no CUDA toolkit, though this machine may have one."""
    on_path = shutil.which("nvcc")
    hide = [f"mount -t tmpfs none '{TOOLKIT.resolve()}'"] if TOOLKIT.exists() else []
    if on_path and not Path(on_path).resolve().is_relative_to(TOOLKIT.resolve()):
        hide.append(f"mount --bind /dev/null '{Path(on_path).resolve()}'")
    if not hide:
        return ()
    # In a mount namespace of the command's own; nobody else sees the change.
    unshare = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--mount", "--map-root-user")
    prefix = (*unshare, "sh", "-c", " && ".join([*hide, 'exec "$@"']), "sh")
    if shutil.which("unshare") is None:
        pytest.skip("this machine has nvcc, and no unshare to hide it with")
    probe = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"this machine has nvcc, and hiding it is not allowed: {probe.stderr.strip()}")
    return prefix


def test_with_nvcc_both_modules_are_built(environment, source):
    if shutil.which("nvcc") is None and not (TOOLKIT / "bin" / "nvcc").exists():
        pytest.skip("this machine has no nvcc")
    done = environment.pip_install(source)
    assert done.returncode == 0, done.stdout
    assert environment.python(MODULES) == "_cuda _emulated"
    environment.python(RELU)
    info = environment.python("from alexnet_cuda import _cuda; print(_cuda.build_info()['architectures'])")
    assert info == "['75-real', '80', '90a-real']"
    # Without a driver, or without a GPU, it still loads and answers.
    environment.python("from alexnet_cuda import _cuda; assert len(_cuda.device_status()) == 4")


def test_without_nvcc_the_emulated_module_says_why_it_is_alone(environment, source):
    done = environment.pip_install(source, prefix=without_nvcc(), **QUICKLY)
    assert done.returncode == 0, done.stdout
    assert environment.python(MODULES) == "_emulated"
    environment.python(RELU)
    text = environment.python("from alexnet_cuda import config; print(config.show())")
    assert "no nvcc was found" in text and "fix: ALEXNET_CUDA=ON pip install ." in text


def test_only_the_package_is_installed(environment, source):
    done = environment.pip_install(source, ALEXNET_CUDA="OFF", **QUICKLY)
    assert done.returncode == 0, done.stdout
    program = "from importlib.metadata import files; print(*files('alexnet-cuda'), sep='\\n')"
    files = environment.python(program).splitlines()
    tops = {file.split("/")[0].split("-")[0] for file in files if not file.startswith("..")}
    assert tops == {"alexnet_cuda"}
    assert "alexnet_cuda/py.typed" in files
    assert any(file.endswith("bin/alexnet-cuda") for file in files)


def test_without_a_cxx_compiler_one_line_says_what_to_install(environment, source):
    done = environment.pip_install(source, PATH=str(environment.folder / "bin"))
    assert done.returncode != 0
    lines = [line.strip() for line in done.stdout.splitlines() if "alexnet_cuda: " in line]
    assert len(lines) == 1 and "no C++ compiler was found" in lines[0], done.stdout
    assert "apt install g++" in lines[0] and "dnf install gcc-c++" in lines[0]
    assert "Traceback" not in done.stdout


def test_an_nvcc_that_does_not_run_is_named(environment, source, tmp_path):
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'nvcc fatal: Segmentation fault' >&2\nexit 139\n")
    nvcc.chmod(0o755)
    done = environment.pip_install(source, CUDACXX=str(nvcc), **QUICKLY)
    assert done.returncode == 0, done.stdout
    assert environment.python(MODULES) == "_emulated"
    text = environment.python("from alexnet_cuda import config; print(config.cuda_problem())")
    assert f"{nvcc}, named by CUDACXX" in text and "Segmentation fault" in text and "fix:" in text

    done = environment.pip_install("--force-reinstall", source, CUDACXX=str(nvcc), ALEXNET_CUDA="ON")
    assert done.returncode != 0
    assert f"alexnet_cuda: ALEXNET_CUDA=ON, but {nvcc}, named by CUDACXX" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_editable_installation_compiles_only_what_changed(environment, tmp_path):
    source = copy_of_the_tree(tmp_path)
    install = ("--no-build-isolation", "--editable", source)
    assert environment.pip_install("-r", source / "build_support" / "requirements.txt").returncode == 0
    done = environment.pip_install(*install, ALEXNET_CUDA="OFF", **QUICKLY)
    assert done.returncode == 0, done.stdout
    environment.python(RELU)

    (folder,) = (source / "build").glob("cp*")
    (kernel,) = folder.rglob("relu.cu.o")
    (emulator,) = folder.rglob("scheduler.cpp.o")
    built = kernel.stat().st_mtime_ns, emulator.stat().st_mtime_ns
    text = source / "csrc" / "kernels" / "relu" / "relu.cu"
    before = text.read_text()
    text.write_text(before.replace("to_float(x) <= 0.0f ? T{} : x", "to_float(x) <= 0.0f ? from_float<T>(-3.0f) : x"))
    assert text.read_text() != before
    done = environment.pip_install(*install, ALEXNET_CUDA="OFF", **QUICKLY)
    assert done.returncode == 0, done.stdout
    assert kernel.stat().st_mtime_ns > built[0]
    assert emulator.stat().st_mtime_ns == built[1]
    assert "-3." in environment.python(RELU.replace("np.testing.assert_array_equal", "print"))


@pytest.mark.skipif(
    os.environ.get("ALEXNET_TEST_CUDA_WHEELS") != "1",
    reason="downloads a CUDA compiler of 300 MB; set ALEXNET_TEST_CUDA_WHEELS=1",
)
def test_a_machine_without_nvcc_gets_one_for_the_build_when_asked(environment, source):
    done = environment.pip_install(source, prefix=without_nvcc(), ALEXNET_CUDA="ON")
    assert done.returncode == 0, done.stdout
    assert environment.python(MODULES) == "_cuda _emulated"
    assert environment.python("from alexnet_cuda import _cuda; print(_cuda.build_info()['cuda'])").startswith("13.0")
    # The compiler was there for the build alone.
    assert "nvidia" not in environment.run("pip", "list").stdout
