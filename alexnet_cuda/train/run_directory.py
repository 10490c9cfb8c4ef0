"""The folder of a run: its name, its lock, and where things lie in it."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from pathlib import Path
from types import TracebackType

LOCK = ".lock"
METRICS = "metrics.jsonl"


class RunDirectoryError(ValueError):
    """A folder cannot be used for a run: one line with the reason and the fix."""


class RunDirectory:
    """A run's folder, made and locked by the constructor, so that no two processes write into it.

    path: the folder; None makes `<root>/<net>-<date>-<time>`, with -2, -3, ... after it where that exists.
    `used` says whether it held a run when it was opened. A context manager; `close` gives it free.

    The lock is the kernel's (flock) on the file `.lock`: it ends with its process, however that ends, and cannot be
    left behind. The text in the file, host:pid, is only for the message to whoever comes second.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, net: str = "run", root: str | os.PathLike[str] = "runs"
    ) -> None:
        try:
            self.path = _new(Path(root), net) if path is None else Path(path)
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = _lock(self.path)
        except (FileExistsError, NotADirectoryError):
            raise RunDirectoryError(f"{path or root} is a file; fix: give a folder with --out") from None
        except OSError as error:
            raise RunDirectoryError(
                f"{path or root} cannot be used for a run: {error.strerror}; fix: give another folder with --out"
            ) from error
        self.metrics = self.path / METRICS
        self.checkpoints = self.path / "checkpoints"
        self.curve = self.path / "learning_curve.png"
        self.used = self.metrics.exists() or any(self.checkpoints.glob("*.safetensors"))

    def close(self) -> None:
        """Give the folder free; more than once is harmless."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def folder_name(net: str) -> str:
    """A net's name as part of a file's name: no slash in it, nor anything else that a shell would ask about."""
    return re.sub(r"[^\w.+-]", "_", net)[:100]


def _new(root: Path, net: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    stem = f"{folder_name(net)}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _lock(folder: Path) -> int:
    """The descriptor that holds the lock. The file is never removed: who waits for it and who makes it anew would
    hold two locks."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{socket.gethostname()}:{os.getpid()}".encode())
    except BlockingIOError:
        holder = os.read(descriptor, 1000).decode(errors="replace")
        os.close(descriptor)
        host, _, pid = holder.rpartition(":")
        who = f"process {pid} on {host}" if host else "another process"
        raise RunDirectoryError(
            f"{folder} is in use by {who}; fix: wait until it ends, or give another folder with --out"
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
