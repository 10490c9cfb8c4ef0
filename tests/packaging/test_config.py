"""What the installation says about itself: every reason comes with its fix."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest

from alexnet_cuda import config

NO_DEVICE = "no CUDA-capable device is detected"
TOO_OLD = "CUDA driver version is insufficient for CUDA runtime version"


@pytest.fixture
def machine(monkeypatch):
    """A machine with CuPy and a CUDA build; the test says what the driver answers."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "cupy" else find_spec(name))

    def answer(*status):
        module = SimpleNamespace(device_status=lambda: status)
        monkeypatch.setattr(config, "load", lambda name: (module, ""))

    return answer


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ((0, 13000, 0, TOO_OLD), "this machine has no NVIDIA driver"),
        ((12080, 13000, 0, TOO_OLD), "the NVIDIA driver is for CUDA 12.8, the kernels need 13.0"),
        ((13000, 13000, 0, NO_DEVICE), f"no GPU was found ({NO_DEVICE})"),
        ((13000, 13000, 0, None), "no GPU was found (the driver lists none)"),
    ],
)
def test_a_driver_that_cannot_be_used(machine, status, reason):
    machine(*status)
    problem = config.cuda_problem()
    assert problem.startswith(reason)
    assert "; fix: " in problem and "\n" not in problem


def test_hidden_devices(machine, monkeypatch):
    machine(13000, 13000, 0, NO_DEVICE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert config.cuda_problem().startswith("CUDA_VISIBLE_DEVICES='' hides every GPU; fix: ")


def test_the_drivers_own_error_is_not_blamed_on_a_variable(machine, monkeypatch):
    machine(13000, 13000, 0, "system not yet initialized")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    problem = config.cuda_problem()
    assert problem.startswith("no GPU was found (system not yet initialized, with CUDA_VISIBLE_DEVICES='0'); fix: ")


@pytest.mark.parametrize("driver", [13000, 13020])
def test_a_machine_with_gpus_has_no_problem(machine, driver):
    machine(driver, 13000, 2, None)
    assert config.cuda_problem() is None


def test_an_older_driver_of_the_same_major_version_is_fine(machine):
    machine(13000, 13020, 1, None)
    assert config.cuda_problem() is None


def test_no_cupy(machine, monkeypatch):
    machine(13000, 13000, 1, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert config.cuda_problem() == "CuPy is not installed; fix: pip install cupy-cuda13x"


def test_not_built_repeats_what_the_build_knew(monkeypatch):
    emulated = SimpleNamespace(build_info=lambda: {"why_no_cuda": "no nvcc was found; fix: bring one"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.endswith("_cuda") else name)
    monkeypatch.setattr(importlib, "import_module", lambda name: emulated)
    assert config.cuda_problem() == "the CUDA kernels are not there: no nvcc was found; fix: bring one"


def test_not_compiled_at_all(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert config.cuda_problem().endswith("the package is not compiled; fix: in the source folder, pip install .")


def test_a_module_that_does_not_load(monkeypatch):
    def broken(name):
        raise ImportError("libstdc++.so.6: version not found")

    monkeypatch.setattr(importlib, "import_module", broken)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    problem = config.cuda_problem()
    assert "does not load (libstdc++.so.6: version not found); fix:" in problem


def test_show_has_one_line_for_each_fact():
    lines = config.show().splitlines()
    labels = [line.split("  ")[0] for line in lines]
    assert labels == [
        "alexnet_cuda",
        "Python",
        "NumPy",
        "ml_dtypes",
        "CuPy",
        "module _emulated",
        "module _cuda",
        "CUDA devices",
        "backend cuda",
    ]
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in lines[1]
    assert (config.cuda_problem() or "can be used") in lines[-1]


def test_asking_imports_neither_cupy_nor_the_rest_of_the_package():
    program = (
        "import sys; from alexnet_cuda import config; before = set(sys.modules); config.show();"
        "new = {name for name in set(sys.modules) - before if name.split('.')[0] in ('alexnet_cuda', 'cupy')};"
        "print(sorted(new - {'alexnet_cuda._cuda', 'alexnet_cuda._emulated'}), 'cupy' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[] False"
