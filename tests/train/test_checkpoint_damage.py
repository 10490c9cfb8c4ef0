"""Damaged checkpoints: whatever is done to a file, it is refused in words or loads whole."""

import json
import os
import random

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from test_checkpoint import ARRAYS, META, same

from alexnet_cuda.train import checkpoint
from alexnet_cuda.train.checkpoint import CheckpointError


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
