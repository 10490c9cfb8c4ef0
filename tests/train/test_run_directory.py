"""The folder of a run: its name, who may use it, and that a lock ends with its process."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from alexnet_cuda.train.run_directory import RunDirectory, RunDirectoryError

HOLD = """
import sys, time
from alexnet_cuda.train.run_directory import RunDirectory
run = RunDirectory(sys.argv[1])
print("locked", flush=True)
time.sleep(60)
"""


def test_a_name_that_is_new(tmp_path):
    runs = [RunDirectory(net="alexnet_mini", root=tmp_path / "runs") for _ in range(3)]
    found = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert sorted(run.path.name for run in runs) == found and len(found) == 3
    assert all(re.fullmatch(r"alexnet_mini-\d{8}-\d{6}(-[23])?", name) for name in found)
    for run in runs:
        run.close()


def test_paths_and_whether_it_was_used(tmp_path):
    with RunDirectory(tmp_path / "a" / "b") as run:
        assert run.path == tmp_path / "a" / "b" and run.path.is_dir()
        assert {run.metrics.parent, run.checkpoints.parent, run.curve.parent} == {run.path}
        assert not run.used
        run.metrics.write_text("{}\n")
    with RunDirectory(tmp_path / "a" / "b") as run:
        assert run.used
        run.metrics.unlink()
        run.checkpoints.mkdir()
    with RunDirectory(tmp_path / "a" / "b") as run:
        assert not run.used
        (run.checkpoints / "step-0000000001.safetensors").touch()
    with RunDirectory(tmp_path / "a" / "b") as run:
        assert run.used


def test_a_second_user_is_refused_with_the_first_ones_name(tmp_path):
    with RunDirectory(tmp_path) as run:
        with pytest.raises(RunDirectoryError) as caught:
            RunDirectory(tmp_path)
        assert f"is in use by process {os.getpid()} on {socket.gethostname()}; fix: " in str(caught.value)
        run.close()
        RunDirectory(tmp_path).close()
    RunDirectory(tmp_path).close()


def test_another_process_holds_it_until_it_is_dead(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(RunDirectoryError, match=f"in use by process {holder.pid} on "):
            RunDirectory(tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert str(holder.pid) in (tmp_path / ".lock").read_text()  # left behind, and no hindrance
    with RunDirectory(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{socket.gethostname()}:{os.getpid()}"


def test_a_lock_without_a_name(tmp_path):
    with RunDirectory(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(RunDirectoryError, match="in use by another process; fix: "):
            RunDirectory(tmp_path)


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_is_no_folder(tmp_path, path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(RunDirectoryError, match="is a file; fix: give a folder with --out"):
        RunDirectory(tmp_path / path)
    with pytest.raises(RunDirectoryError, match="is a file"):
        RunDirectory(root=tmp_path / path)


def test_a_place_that_cannot_be_used(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RunDirectoryError, match="cannot be used for a run: Permission denied; fix: "):
        RunDirectory(tmp_path)
