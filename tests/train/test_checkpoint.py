"""Checkpoints: what goes in comes out; which files there are; full disks and kills. Damage has a file of its own."""

import json
import os
import resource
import stat
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from alexnet_cuda.train import checkpoint
from alexnet_cuda.train.checkpoint import BEST, CheckpointError, CheckpointWriteError

RNG = np.random.default_rng(7)
ARRAYS = {
    "w/conv1.w": RNG.standard_normal((3, 5, 5, 4), dtype=np.float32),
    "v/conv1.w": RNG.standard_normal((3, 5, 5, 4)),
    "half": RNG.standard_normal((3, 7)).astype(ml_dtypes.bfloat16),
    "quarter": RNG.standard_normal(5).astype(np.float16),
    "labels": np.arange(-3, 3, dtype=np.int32),
    "ids": np.array([2**62, -1]),
    "bytes": np.arange(7, dtype=np.uint8),
    "flag": np.array([True, False]),
    "scalar": np.array(2.5, np.float32),
    "count": np.array(-(2**40)),
    "nothing": np.zeros((0, 3), np.float32),
}
META = {"epoch": 3, "classes": ["Hose", "Kleid", "0" * 32], "best": None, "rate": 0.1, "unicode": "é\u2028"}


def same(got, wanted):
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        assert got[name].tobytes() == array.tobytes(), name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- round trip


def test_what_goes_in_comes_out(tmp_path):
    path = checkpoint.save(tmp_path / "new" / "folder", ARRAYS, META, step=12345)
    assert path.name == "step-0000012345.safetensors"
    found = checkpoint.load(path)
    same(found.arrays, ARRAYS)
    assert (found.meta, found.step, found.path) == (META, 12345, path)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in found.arrays.values())


def test_arrays_in_any_order_in_memory_survive(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    arrays = {
        "transposed": x.T,
        "fortran": np.asfortranarray(x),
        "strided": x[:, ::2, 1:],
        "backwards": x[::-1],
        "broadcast": np.broadcast_to(x[0], (5, 3, 4)),
        "big endian": x.astype(">f4"),
    }
    found = checkpoint.load(checkpoint.save(tmp_path, arrays, {}, step=1)).arrays
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_other_programs_read_the_files(tmp_path):
    path = checkpoint.save(tmp_path, ARRAYS, META, step=1)
    same(safetensors.numpy.load_file(path), ARRAYS)
    with safetensors.safe_open(path, framework="np") as file:
        (content,) = file.metadata().values()
    text = json.loads(content.partition(" ")[2])["text"]
    assert (json.loads(text["meta"]), text["step"]) == (META, "1")


def test_equal_states_make_equal_files(tmp_path):
    first = checkpoint.save(tmp_path / "a", ARRAYS, META, step=5).read_bytes()
    for name in "bcde":  # the library shuffles some of what it writes
        again = checkpoint.save(tmp_path / name, dict(reversed(ARRAYS.items())), META, step=5)
        assert again.read_bytes() == first


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o007, 0o660)])
def test_the_mode_is_by_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = checkpoint.save(tmp_path, ARRAYS, META, step=1, best=True)
    finally:
        os.umask(before)
    for file in (path, tmp_path / BEST):
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize(
    "arrays, meta, step, error, message",
    [
        ({"x": np.array(["text"])}, {}, 1, TypeError, "array 'x': got dtype <U4"),
        ({"x": np.zeros(2, complex)}, {}, 1, TypeError, "array 'x': got dtype complex128"),
        ({"__metadata__": np.zeros(2)}, {}, 1, ValueError, "choose another"),
        ({}, {"best": float("nan")}, 1, ValueError, "JSON"),
        ({}, {"best": object()}, 1, TypeError, "JSON"),
        ({}, {}, -1, ValueError, "step: got -1"),
        ({}, {}, 1.5, ValueError, "step: got 1.5"),
    ],
)
def test_what_no_checkpoint_holds(tmp_path, arrays, meta, step, error, message):
    checkpoint.save(tmp_path, {"x": np.ones(2)}, {}, step=0)
    with pytest.raises(error, match=message):
        checkpoint.save(tmp_path, arrays, meta, step=step)
    assert names(tmp_path) == ["step-0000000000.safetensors"]


# --- which files there are


def test_the_last_and_the_best_are_kept(tmp_path):
    for step in (9, 10, 99, 100, 1000):
        checkpoint.save(tmp_path, {"x": np.full(3, step)}, {}, step=step, keep=2, best=step in (9, 10))
    assert names(tmp_path) == [BEST, "step-0000000100.safetensors", "step-0000001000.safetensors"]
    assert checkpoint.load(tmp_path / BEST).step == 10
    assert checkpoint.latest(tmp_path, pytest.fail).step == 1000


def test_steps_sort_as_numbers(tmp_path):
    by_step = [f"step-{step}.safetensors" for step in (10**10, 20, 3)]
    for name in sorted(by_step):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in checkpoint.saved(tmp_path)] == by_step != sorted(by_step, reverse=True)


def test_a_folder_holds_one_history(tmp_path):
    for step in (10, 20, 30):
        checkpoint.save(tmp_path, ARRAYS, META, step=step)
    checkpoint.save(tmp_path, ARRAYS, META, step=15)  # of a run resumed from step 10
    assert [path.name[-14:-12] for path in checkpoint.saved(tmp_path)] == ["15", "10"]


def test_the_same_step_again_replaces(tmp_path):
    for value in (1, 2):
        checkpoint.save(tmp_path, {"x": np.array(value)}, {}, step=4, best=True)
    assert names(tmp_path) == [BEST, "step-0000000004.safetensors"]
    for name in names(tmp_path):
        assert checkpoint.load(tmp_path / name).arrays["x"] == 2


def test_side_files_of_killed_runs_are_removed(tmp_path):
    unfinished = tmp_path / checkpoint.UNFINISHED
    unfinished.mkdir()
    for name in ("step-0000000008.safetensors", BEST, ".tmpUvWxYz"):
        (unfinished / name).write_bytes(b"half a checkpoint")
    (tmp_path / ".tmpNotes").write_text("not ours")
    assert checkpoint.latest(tmp_path, pytest.fail) is None
    checkpoint.save(tmp_path, ARRAYS, META, step=8)
    assert names(tmp_path) == [".tmpNotes", "step-0000000008.safetensors"]


def test_files_are_synced_before_they_get_their_names(tmp_path, monkeypatch):
    """And the best has its name before a checkpoint that knows of it."""
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(os.path.basename(b)), replace(a, b)))
    path = checkpoint.save(tmp_path, ARRAYS, META, step=8, best=True)
    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert done == [file, BEST, folder, path.name, folder]


def test_best_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    checkpoint.save(tmp_path, ARRAYS, META, step=8, best=True)
    same(checkpoint.load(tmp_path / BEST).arrays, ARRAYS)
    assert len(names(tmp_path)) == 2


# --- the latest


def test_no_checkpoint_at_all(tmp_path):
    assert checkpoint.latest(tmp_path, pytest.fail) is None
    assert checkpoint.latest(tmp_path / "missing", pytest.fail) is None


def test_damaged_ones_are_passed_over_by_name(tmp_path):
    for step in (1000, 2000, 3000, 4000):
        checkpoint.save(tmp_path, {"x": np.full(1000, float(step))}, {}, step=step, keep=4)
    os.truncate(tmp_path / "step-0000004000.safetensors", 5000)
    with open(tmp_path / "step-0000003000.safetensors", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    told = []
    found = checkpoint.latest(tmp_path, told.append)
    assert found.step == 2000 and found.arrays["x"][0] == 2000
    assert len(told) == 2
    assert "step-0000004000.safetensors is incomplete (5000 bytes of" in told[0]
    assert "step-0000003000.safetensors: the array 'x' is damaged" in told[1]
    assert all(line.endswith("; using step-0000002000.safetensors (step 2,000) instead") for line in told)


def test_the_best_is_the_last_resort(tmp_path):
    checkpoint.save(tmp_path, ARRAYS, META, step=1, best=True)
    path = checkpoint.save(tmp_path, ARRAYS, META, step=2, keep=1)
    path.write_bytes(b"")
    told = []
    assert checkpoint.latest(tmp_path, told.append).step == 1
    assert told == [f"{path} is empty; using {BEST} (step 1) instead"]
    (tmp_path / BEST).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint in .* can be used: .*0002.* is empty; .*best.* is empty"):
        checkpoint.latest(tmp_path, pytest.fail)


# --- a disk that does not take it, and kills


def test_a_full_disk_leaves_everything_as_it_was(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, ARRAYS, META, step=step, best=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointWriteError, match=r"cannot write .*0003\.safetensors: File too large; the older"):
            checkpoint.save(tmp_path, {"x": np.zeros(10**5)}, META, step=3, keep=1, best=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    checkpoint.save(tmp_path, ARRAYS, META, step=3)
    assert checkpoint.latest(tmp_path, pytest.fail).step == 3


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointWriteError, match="cannot write"):
        checkpoint.save(tmp_path / "file", ARRAYS, META, step=3)


KILLED = """
import os, random, signal, sys, time
import numpy as np
from alexnet_cuda.train import checkpoint

folder, kills = sys.argv[1], int(sys.argv[2])
delays = random.Random(3)
start = 0
for _ in range(kills):
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        step = start
        while True:
            step += 1
            array = np.full(50_000, step, np.float32)
            checkpoint.save(folder, {"x": array}, {"step": step}, step=step, keep=2, best=step % 3 == 0)
            os.write(theirs, b"%010d" % step)
    time.sleep(delays.uniform(0.005, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(theirs)
    done = start
    while part := os.read(ours, 10):
        done = int(part)
    os.close(ours)
    warnings = []
    found = checkpoint.latest(folder, warnings.append)
    assert not warnings, warnings
    if found is None:
        assert done == 0
        continue
    assert found.step in (done, done + 1), (found.step, done)
    assert found.meta == {"step": found.step} and (found.arrays["x"] == found.step).all()
    if found.step >= 3:
        best = checkpoint.load(os.path.join(folder, checkpoint.BEST)).step
        assert best % 3 == 0 and found.step - found.step % 3 <= best <= found.step + 1, (best, found.step)
    start = found.step
checkpoint.save(folder, {"x": np.zeros(1)}, {}, step=start + 1, keep=2)  # and what the kills left is cleared away
assert len(os.listdir(folder)) == 3, os.listdir(folder)
print(start)
"""


def test_killed_at_any_moment(tmp_path):
    """40 kills while saving in a loop: the newest that was finished, or the one being finished, is always there."""
    run = [sys.executable, "-c", KILLED, str(tmp_path / "checkpoints"), "40"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 20  # or the kills came before anything was saved
