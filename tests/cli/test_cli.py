"""The command line: what it prints, and its exit status."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from alexnet_cuda import __version__, config
from alexnet_cuda.cli import commands, main
from alexnet_cuda.ops import backends


def test_check_prints_a_line_for_each_result_and_a_summary(capsys):
    assert main(["check", "relu", "--backend", "reference", "--case", "3 elements"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["operation.output", "case", "values", "error", "bound"]
    assert lines[1].split() == ["relu.out", "3", "elements", "integers", "0.00e+00", "0.00e+00", "pass"]
    assert lines[-1] == "2 of 2 results within their bounds (backend reference, float32, seed 0)"


def test_quiet_prints_failures_only(capsys, monkeypatch):
    assert main(["check", "add", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1

    def wrong(x, *, out):
        out[...] = np.abs(x)

    monkeypatch.setattr(backends.load("cpu"), "relu", wrong)
    assert main(["check", "relu", "--quiet", "--case", "three dimensions"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "FAIL at [" in lines[1]
    assert lines[4] == "again: alexnet-cuda check relu --case 'three dimensions' --backend cpu --dtype float32 --seed 0"


def test_mistakes_are_one_line_and_status_2(capsys):
    assert main(["check", "conv2", "--backend", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("alexnet-cuda: check: unknown operation 'conv2'; there are ")
    assert error.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        main(["check", "--backend", "gpu"])
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_a_backend_that_cannot_run_here_says_how_it_could(capsys):
    if config.cuda_problem() is None:
        pytest.skip("this machine has a GPU")
    assert main(["check", "relu", "--backend", "cuda"]) == 2
    printed = capsys.readouterr()
    assert "fix: " in printed.err
    assert printed.out == ""


def test_info(capsys):
    assert main(["info"]) == 0
    *lines, precisions = capsys.readouterr().out.splitlines()
    assert "\n".join(lines) == config.show()
    assert precisions == "precisions        fp32, bf16 (alexnet-cuda train --precision)"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["train"], "use smaller batches (--batch)"),
        (["predict", "a.png", "--model", "a"], "use another device (--devices)"),
        (["prepare", "a", "b"], "use fewer threads (--workers 1)"),
        (["info"], "make room and try again"),
    ],
)
def test_too_little_memory_is_one_line_with_an_option_that_there_is(arguments, advice, capsys, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    for command in commands.COMMANDS:
        monkeypatch.setattr(command, "run", full)
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"alexnet-cuda: out of memory; {advice}\n"


def test_a_kernel_that_is_not_there_is_one_line(capsys, monkeypatch):
    def missing(_):
        raise NotImplementedError("relu: backend 'emulated' has no kernel for it yet")

    monkeypatch.setattr(commands.info, "run", missing)
    assert main(["info"]) == 2
    assert capsys.readouterr().err == "alexnet-cuda: relu: backend 'emulated' has no kernel for it yet\n"


@pytest.mark.parametrize("module", ["alexnet_cuda.cli.commands", "numpy", "argparse"])
@pytest.mark.parametrize("start", ["-m alexnet_cuda --version", "-c 'from alexnet_cuda.cli import main; exit(main())'"])
def test_an_interruption_while_the_commands_are_imported_is_no_traceback(start, module, tmp_path):
    """A signal at that moment: when Python looks for the module."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.abc, os, signal, sys\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, *shlex.split(start)], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_module_and_version():
    command = [sys.executable, "-m", "alexnet_cuda", "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"alexnet-cuda {__version__}\n"


def test_importing_the_package_imports_neither_cupy_nor_pillow():
    """CuPy only where CUDA is used; and an import stays light."""
    heavy = "print([m for m in ('cupy', 'PIL', 'torch', 'matplotlib') if m in sys.modules])"
    code = f"import sys; from alexnet_cuda import *; ops, check, DeviceError; {heavy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_alone_imports_next_to_nothing():
    """What comes before the command's first line cannot be made quiet about Ctrl-C."""
    code = "import sys, alexnet_cuda.cli; print('numpy' in sys.modules, alexnet_cuda.check, hasattr(alexnet_cuda, 'x'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"False <function check at .*> False\n", done.stdout)
