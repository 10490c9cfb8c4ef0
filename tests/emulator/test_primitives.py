"""Barriers, warp operations, atomics, numbers, memory and streams, from one C++ source for the emulator and a GPU; and
what the emulator does around kernels."""

import os
import shutil
import subprocess

import building
import pytest

pytestmark = pytest.mark.usefixtures("programs")

SOURCE, HOPPER_SOURCE = "primitives.cu", "hopper_primitives.cu"
SCHEDULES = ["forward", "reverse", "random:1", "random:2"]
NVCC = shutil.which("nvcc")


def run(executable, source: str = SOURCE, **environment: str) -> str:
    done = subprocess.run([executable], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == (building.HERE / source).read_text().count('\n    {"')
    assert all(line.endswith(": passed") for line in lines), done.stdout
    return done.stdout


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("build", building.BUILDS)
@pytest.mark.parametrize("source", [SOURCE, HOPPER_SOURCE])
def test_primitives(source, build, schedule):
    run(building.program(source, build), source, ALEXNET_EMULATOR_SCHEDULE=schedule, ALEXNET_THREADS="2")


@pytest.mark.parametrize("build", building.BUILDS)
def test_behaviour(build):
    run(building.program("behaviour.cpp", build), "behaviour.cpp")


@pytest.mark.slow
def test_primitives_on_fibers_of_the_c_library():
    executable = building.program(SOURCE, "plain", emulator_flags=("-DSIMT_FIBER_UCONTEXT",))
    run(executable, ALEXNET_EMULATOR_SCHEDULE="random:3")


@pytest.mark.skipif(NVCC is None, reason="no nvcc")
@pytest.mark.parametrize(("name", "architectures"), [(SOURCE, ("75", "90a")), (HOPPER_SOURCE, ("90a",))])
def test_primitives_compile_for_gpus(name, architectures, tmp_path):
    code = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in architectures]
    arguments = [NVCC, "-std=c++20", "-Werror=all-warnings", *code, f"-I{building.CSRC}"]
    source = building.HERE / name
    done = subprocess.run([*arguments, "-c", source, "-o", tmp_path / "primitives.o"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(NVCC is None, reason="no nvcc")
@pytest.mark.parametrize("source", [SOURCE, HOPPER_SOURCE])
def test_primitives_on_a_gpu(source, tmp_path):
    code = "-arch=native"
    if source == HOPPER_SOURCE:
        query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
        capability = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split()[0]
        if capability != "9.0":
            pytest.skip(f"for compute capability 9.0 alone, not {capability}")
        code = "-gencode=arch=compute_90a,code=sm_90a"
    arguments = [NVCC, "-std=c++20", code, f"-I{building.CSRC}", building.HERE / source]
    subprocess.run([*arguments, "-o", tmp_path / "primitives"], check=True)
    run(tmp_path / "primitives", source)
