"""Files that are there whole or not at all, their checksums, and the lock on a folder that is being written."""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

SIDE = ".tmp"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFullError(OSError):
    """There is no room for a file that was being written; what was written of it has been removed."""


class LockedError(ValueError):
    """Another process is writing the folder."""


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name only when it is whole and on the disk, in place of any older one."""
    side = path.with_name(path.name + SIDE)
    try:
        with side.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(side, path)
    except BaseException as error:
        side.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise DiskFullError(error.errno, os.strerror(error.errno), str(path)) from None
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """`data` as a file, whole or not at all."""
    with new_file(path) as file:
        file.write(data)


class Hashing:
    """A file that knows the checksum of what has been written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digest.update(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def npy(array: np.ndarray) -> bytes:
    """The content of an .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def sync_folder(path: Path) -> None:
    """A rename survives a loss of power only once its folder is on the disk too."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256(path: Path) -> str:
    """The checksum of a file, as sha256sum prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. The system lets go when the process ends, however it ends.

    Raises LockedError, with the other's process id, where another holds it.
    """
    path = folder / "lock"
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(held, 200).decode("utf-8", "replace").strip() or "of unknown number"
            os.close(held)
            raise LockedError(
                f"{folder}: another prepare (process {owner}) is writing it; wait until it has ended"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(held)):
                break
        os.close(held)  # the one before removed the file between our opening and our locking it
    try:
        os.ftruncate(held, 0)
        os.write(held, f"{os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(held)
