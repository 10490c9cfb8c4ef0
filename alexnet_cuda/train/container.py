"""Arrays and text in one safetensors file that is verified when it is read.

The safetensors library writes and reads the format; this adds what it (0.5 to 0.8) leaves out:
* It notices a file of the wrong length, but loads changed bytes. So there is a BLAKE2b-128 checksum for each array,
  over its dtype, shape and bytes, and one for the text and the list of these checksums.
* It stores arrays that are not C-contiguous wrongly. They are made contiguous before it sees them.
* It shuffles the metadata's entries. There is one entry, so equal arguments give equal bytes: KEY, whose value is the
  checksum and, after a space, {"text": ..., "checksums": ...} in JSON.
* It makes files that others may not read. They get the mode that the umask says.
* Its errors are about the format. Here they are about the file: CheckpointError, or OSError from the disk.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import ml_dtypes  # noqa: F401  # with it NumPy, and so the library, knows bfloat16
import numpy as np

if TYPE_CHECKING:
    from safetensors import SafetensorError, safe_open

KEY = "alexnet_cuda"
FORMAT_KEY = "__metadata__"  # where the format has its metadata, among the arrays' names
LONGEST_HEADER = 100_000_000  # the format's own limit, less the 8 bytes before it
DIGEST_BYTES = 16
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("bfloat16", "float16", "float32", "float64"),
)
FOREIGN = "is not a checkpoint of this program, or its header is damaged"
OTHER = "fix: use another checkpoint"


class CheckpointError(ValueError):
    """A checkpoint cannot be used: one line that names the file, what is wrong with it and what to do."""


def write(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    """Write the whole file, not synced. The library may use other names beside path; an error leaves rests there.

    Raises TypeError for arrays the format has no type for, OSError where the disk does not take it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    stored = {name: _storable(name, arrays[name]) for name in sorted(arrays)}
    with ThreadPoolExecutor(_threads()) as pool:
        checksums = dict(zip(stored, pool.map(_digest, stored.values()), strict=True))
    content = json.dumps({"text": dict(text), "checksums": checksums})
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        save_file(stored, path, {KEY: f"{_text_digest(content)} {content}"})
    except SafetensorError as error:
        raise _disk_error(error) from error
    path.chmod(mode)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the text of a file that `write` made.

    Raises CheckpointError for everything else: missing, empty, incomplete, changed, or another program's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with open(path, "rb") as file:  # for Python's errors
            try:
                with safe_open(path, "np") as found:
                    return _verified(path, found)
            except SafetensorError:
                raise CheckpointError(f"{path} {_complaint(file)}; {OTHER}") from None
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}; fix: check the path") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder; fix: name one of its .safetensors files") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    if name == FORMAT_KEY:
        raise ValueError(f"array {name!r}: the format keeps this name for itself; fix: choose another")
    array = np.asarray(array, order="C")  # np.ascontiguousarray but for 0-d arrays, which that makes 1-d
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.name not in DTYPES:
        raise TypeError(f"array {name!r}: got dtype {array.dtype}, wanted one of {', '.join(DTYPES)}")
    return array


def _digest(array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{array.dtype.name} {array.shape}".encode(), digest_size=DIGEST_BYTES)
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _threads() -> int:
    return min(4, os.cpu_count() or 1)  # hashlib computes without the interpreter's lock


def _disk_error(error: SafetensorError) -> OSError:
    """The library has the number in its message only."""
    found = re.search(r"(?:os error|code:) (\d+)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else OSError(errno.EIO, str(error))


def _verified(path: Path, found: safe_open) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    metadata = found.metadata() or {}
    if KEY not in metadata:
        raise CheckpointError(f"{path} {FOREIGN}; {OTHER}")
    checksum, _, content = metadata[KEY].partition(" ")
    if checksum != _text_digest(content):
        raise CheckpointError(f"{path}: the metadata is damaged (its checksum does not fit); {OTHER}")
    parts = json.loads(content)
    checksums: dict[str, str] = parts["checksums"]
    if checksums.keys() != set(found.keys()):
        raise CheckpointError(f"{path}: the metadata is damaged (the names of the arrays do not fit); {OTHER}")

    arrays: dict[str, np.ndarray] = {}
    digests: dict[str, Future[str]] = {}
    with ThreadPoolExecutor(_threads()) as pool:
        for name in checksums:
            try:
                arrays[name] = found.get_tensor(name)
            except (AttributeError, TypeError, ValueError):  # a dtype or a shape that NumPy does not have
                raise CheckpointError(f"{path}: the array {name!r} is damaged (its type is unknown); {OTHER}") from None
            digests[name] = pool.submit(_digest, arrays[name])
    for name, digest in digests.items():
        if digest.result() != checksums[name]:
            raise CheckpointError(f"{path}: the array {name!r} is damaged (its checksum does not fit); {OTHER}")
    return arrays, parts["text"]


def _complaint(file: BinaryIO) -> str:
    """What is wrong with a file that the library refuses: its length, if the header can say which it should be."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        return "is empty"
    least = 8 + int.from_bytes(file.read(8), "little")
    header = file.read(least - 8) if least <= LONGEST_HEADER else b""
    if size < least <= LONGEST_HEADER and header[:1] in b"{":
        return f"is incomplete ({size_text(size)} of at least {size_text(least)})"
    try:
        ends = [array["data_offsets"][1] for name, array in json.loads(header).items() if name != FORMAT_KEY]
        whole = least + max(ends, default=0)
        if size < whole:
            return f"is incomplete ({size_text(size)} of {size_text(whole)})"
        if size > whole:
            return f"is longer than it says, by {size_text(size - whole)}"
    except Exception:  # anything can stand there
        pass
    return FOREIGN


def size_text(count: int) -> str:
    """263000 -> '263 kB': the unit in which the number has at most four digits before the point."""
    for unit, scale in (("bytes", 1), ("kB", 1000), ("MB", 1000**2)):
        if count < 10_000 * scale:
            return f"{count / scale:.0f} {unit}"
    return f"{count / 1000**3:.0f} GB"
