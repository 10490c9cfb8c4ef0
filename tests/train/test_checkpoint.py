"""Checkpoints: what goes in comes out, and whatever is done to a file, it is refused in words or loads whole."""

import json
import os
import random
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


# --- damage


def small(folder):
    arrays = {"w/conv1.w": np.arange(40, dtype=np.float32), "v/conv1.w": np.ones(9, ml_dtypes.bfloat16)}
    return checkpoint.save(folder, arrays, META, step=1)


def refused(path, **options):
    """The message with which a file is refused: one line that says what to do."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path, **options)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and "fix: " in message
    return message


def test_cut_anywhere(tmp_path):
    path = small(tmp_path)
    whole = path.read_bytes()
    for size in reversed(range(len(whole))):
        os.truncate(path, size)
        assert "is incomplete" in refused(path) if size else "is empty" in refused(path), size
    path.write_bytes(whole + b"\0")
    assert "longer than it says, by 1 bytes" in refused(path)


def test_how_much_is_there_is_said(tmp_path):
    path = checkpoint.save(tmp_path, {"x": np.zeros(65536)}, {}, step=1)
    os.truncate(path, 263_000)
    assert "is incomplete (263 kB of 525 kB)" in refused(path)


HEADER_DAMAGE = (
    "is not a checkpoint of this program, or its header is damaged",
    "the metadata is damaged (its checksum does not fit)",
    "the metadata is damaged (the names of the arrays do not fit)",
    "is incomplete",
    "is longer than it says",
    "' is damaged (its checksum does not fit)",  # another dtype or shape of as many bytes
)


@pytest.mark.parametrize("turn", range(8))
def test_any_bit_flipped(tmp_path, turn):
    """Every bit of the length, the header and the arrays; a turn has one of each byte."""
    path = small(tmp_path)
    whole = path.read_bytes()
    data = 8 + int.from_bytes(whole[:8], "little")
    told = set()
    file = open(path, "r+b", buffering=0)  # noqa: SIM115
    for position in range(len(whole)):
        file.seek(position)
        file.write(bytes([whole[position] ^ 1 << (position * 5 + turn) % 8]))
        message = refused(path, force=True)
        file.seek(position)
        file.write(whole[position : position + 1])
        if position >= data:
            array = "w/conv1.w" if position < data + 160 else "v/conv1.w"
            assert f"the array '{array}' is damaged" in message
        else:
            told |= {text for text in HEADER_DAMAGE if text in message}
            assert any(text in message for text in HEADER_DAMAGE), message
    file.close()
    assert len(told) > 3
    assert checkpoint.load(path).step == 1


def with_header(path, change):
    """The file at path with another description of its arrays, and all its checksums as they were."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "values",
    [
        {"dtype": "I32"},
        {"dtype": "F8_E5M2", "shape": [4, 40]},
        {"dtype": "F64", "shape": [20]},
        {"shape": [8, 5]},
        {"shape": [1] * 70 + [40]},
    ],
)
def test_arrays_described_wrongly(tmp_path, values):
    path = small(tmp_path)
    with_header(path, lambda header: None)
    assert checkpoint.load(path).step == 1  # spaces in the header are nothing to us
    with_header(path, lambda header: header["w/conv1.w"].update(values))
    assert "the array 'w/conv1.w' is damaged" in refused(path, force=True)


def test_arrays_by_another_name(tmp_path):
    same_type = {"a": np.ones(3), "b": np.zeros(3)}
    path = checkpoint.save(tmp_path, same_type, {}, step=1)
    with_header(path, lambda header: header.update(c=header.pop("b")))
    assert "the names of the arrays do not fit" in refused(path)
    path = checkpoint.save(tmp_path, same_type, {}, step=1)
    with_header(path, lambda header: header.update(a=header["b"], b=header["a"]))
    assert "the array 'a' is damaged" in refused(path)


def test_arrays_and_metadata_exchanged_between_files(tmp_path):
    """Parts of good files, put together wrongly."""
    files = [
        checkpoint.save(tmp_path / name, {"x": np.full(100, value)}, {"m": value}, step=1)
        for name, value in (("a", 1), ("b", 2))
    ]
    a, b = (file.read_bytes() for file in files)
    assert len(a) == len(b)
    files[0].write_bytes(a[:-800] + b[-800:])
    assert "the array 'x' is damaged" in refused(files[0])


@pytest.mark.parametrize(
    "content",
    [
        b"hello, world\n" * 100,
        b"\0" * 4096,
        b"\xff" * 4096,
        b"PK\x03\x04" + b"\0" * 100,
        (2).to_bytes(8, "little") + b"{}",
        (40).to_bytes(8, "little") + b"[" * 40,
        (2**63).to_bytes(8, "little") + b'{"__metadata__":{"checksum":"',
    ],
)
def test_other_files(tmp_path, content):
    path = tmp_path / "step-0000000001.safetensors"
    path.write_bytes(content)
    assert "not a checkpoint of this program" in refused(path)


def test_a_safetensors_file_of_another_program(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in ({"format": "np"}, None):
        safetensors.numpy.save_file({"x": np.zeros(3)}, path, metadata)
        assert "not a checkpoint of this program" in refused(path)


def test_paths_that_are_no_files(tmp_path):
    assert "there is no checkpoint" in refused(tmp_path / "missing.safetensors")
    assert "is a folder" in refused(tmp_path)


def test_another_format_version(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 2)
    path = checkpoint.save(tmp_path, ARRAYS, META, step=1)
    monkeypatch.undo()
    assert "has checkpoint format 2, this version reads 1" in refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_numbers_that_are_not_finite(tmp_path, monkeypatch, value, dtype):
    monkeypatch.setattr(checkpoint, "CHUNK", 1000)
    array = np.zeros((50, 50), dtype)
    array[49, 48] = value
    path = checkpoint.save(tmp_path, {"good": np.ones(3), "w/fc6.w": array}, {}, step=1)
    assert "1 of the 2,500 numbers in 'w/fc6.w' are NaN or infinite" in refused(path)
    same(checkpoint.load(path, force=True).arrays, {"good": np.ones(3), "w/fc6.w": array})


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


def test_random_rubbish_in_the_middle(tmp_path):
    """Blocks of another content, as a disk loses them."""
    path = checkpoint.save(tmp_path, ARRAYS, META, step=1)
    whole = path.read_bytes()
    draw = random.Random(11)
    for _ in range(200):
        start = draw.randrange(len(whole))
        rubbish = draw.randbytes(draw.randint(1, 600))
        damaged = (whole[:start] + rubbish + whole[start + len(rubbish) :])[: len(whole)]
        if damaged != whole:
            path.write_bytes(damaged)
            refused(path)
