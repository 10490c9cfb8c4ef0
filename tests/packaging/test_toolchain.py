"""The search for compilers, and what it says about those that do not work."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOLCHAIN = Path(__file__).parents[2] / "build_support" / "toolchain.py"
SETTINGS = ("ALEXNET_CUDA", "ALEXNET_CUDA_ARCHS", "CMAKE_ARGS", "CUDACXX", "CUDA_HOME", "CUDA_PATH", "CXX")


@pytest.fixture
def toolchain(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("toolchain", TOOLCHAIN)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "toolchain", module)
    spec.loader.exec_module(module)
    return module


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("value", "mode"), [(None, "AUTO"), ("on", "ON"), ("OFF", "OFF"), ("Auto", "AUTO")])
def test_mode(toolchain, monkeypatch, value, mode):
    if value is not None:
        monkeypatch.setenv("ALEXNET_CUDA", value)
    assert toolchain.cuda_mode() == mode


def test_unknown_mode_is_named(toolchain, monkeypatch):
    monkeypatch.setenv("ALEXNET_CUDA", "yes")
    with pytest.raises(toolchain.BuildError, match="ALEXNET_CUDA must be AUTO, ON or OFF, got 'yes'"):
        toolchain.cuda_mode()


@pytest.mark.parametrize(
    ("value", "architectures"),
    [("", ""), ("80", "80"), ("75-real;80;90a-real",) * 2, ("80-real, 90-virtual", "80-real;90-virtual")],
)
def test_architectures(toolchain, monkeypatch, value, architectures):
    monkeypatch.setenv("ALEXNET_CUDA_ARCHS", value)
    assert toolchain.cuda_architectures() == architectures


@pytest.mark.parametrize("value", ["sm_90", "hopper", "90-real;9.0"])
def test_unknown_architecture_is_named(toolchain, monkeypatch, value):
    monkeypatch.setenv("ALEXNET_CUDA_ARCHS", value)
    with pytest.raises(toolchain.BuildError, match=f"names no architecture: '{value.split(';')[-1]}'"):
        toolchain.cuda_architectures()


def test_the_compilers_of_this_machine_pass(toolchain):
    toolchain.check_cxx()


def test_no_cxx_compiler(toolchain, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(toolchain.BuildError, match=r"no C\+\+ compiler was found .*apt install g\+\+.*dnf install"):
        toolchain.check_cxx()


def test_a_cxx_compiler_too_old_is_named_with_its_own_words(toolchain, monkeypatch, tmp_path):
    old = script(tmp_path / "g++-7", "echo \"g++: error: unrecognized option '-std=c++20'\" >&2; exit 1")
    monkeypatch.setenv("CXX", str(old))
    with pytest.raises(toolchain.BuildError, match="g\\+\\+-7 does not compile C\\+\\+20: .*unrecognized option"):
        toolchain.check_cxx()


def test_a_broken_nvcc_is_named_with_its_own_words(toolchain, monkeypatch, tmp_path):
    broken = script(tmp_path / "cuda" / "bin" / "nvcc", "echo 'nvcc fatal: no licence to compile' >&2; exit 1")
    monkeypatch.setenv("CUDACXX", str(broken))
    decision = toolchain.decide_cuda("AUTO")
    assert decision.nvcc.path == ""
    assert f"{broken}, named by CUDACXX" in decision.why_not
    assert "nvcc fatal: no licence to compile; fix:" in decision.why_not
    with pytest.raises(toolchain.BuildError, match="ALEXNET_CUDA=ON, but .*no licence to compile.*; fix:"):
        toolchain.decide_cuda("ON")


def test_an_nvcc_that_works_is_found_behind_a_broken_one(toolchain, monkeypatch, tmp_path):
    script(tmp_path / "broken" / "bin" / "nvcc", "exit 1")
    working = script(tmp_path / "working" / "bin" / "nvcc", "exit 0")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "broken"))
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "working"))
    assert toolchain.decide_cuda("ON").nvcc.path == str(working)


def test_a_compiler_named_in_cmake_args_is_the_only_one_tried(toolchain, monkeypatch, tmp_path):
    script(tmp_path / "working" / "bin" / "nvcc", "exit 0")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "working"))
    monkeypatch.setenv("CMAKE_ARGS", "-DCMAKE_CUDA_COMPILER=/nowhere/nvcc -DX=1")
    assert "/nowhere/nvcc" in toolchain.find_nvcc().problem


def test_off_looks_for_nothing(toolchain, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDACXX", str(script(tmp_path / "nvcc", "exit 0")))
    decision = toolchain.decide_cuda("OFF")
    assert decision.nvcc.path == ""
    assert "ALEXNET_CUDA=OFF; fix:" in decision.why_not
