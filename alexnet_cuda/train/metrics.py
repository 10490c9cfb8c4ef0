"""The numbers of a run: averages over images, and `metrics.jsonl`, one JSON object a line.

Lines of a training run: `run` (the first: net and settings), `train` and `validation` (step; epoch: passes over the
data done, a float; loss; top1 and top5: the share of images that were right, 0 to 1; and more). What a line says is
for the trainer to decide; a run that was interrupted and resumed leaves the lines of the uninterrupted one, apart
from the fields in WALL_CLOCK.
"""

from __future__ import annotations

import errno
import json
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WALL_CLOCK = frozenset({"time", "seconds", "images_per_second"})
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsFile:
    """An append-only metrics.jsonl; each line is handed to the system at once, whole.

    A torn last line, of a process that was killed, is cut off on opening. A disk that takes no more stops nothing:
    `warn` is told once, and the lines wait in memory for the next append.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = warnings.warn) -> None:
        self.path = Path(path)
        self._warn = warn
        self._warned = False
        self._waiting: list[bytes] = []
        whole = _whole_lines(self.path)
        self._written = len(whole)
        self._size = sum(map(len, whole))  # bytes of whole lines in the file
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.ftruncate(self._file, self._size)

    @property
    def lines(self) -> int:
        """Lines so far. In a checkpoint's metadata it tells `rewind` where that checkpoint stood."""
        return self._written + len(self._waiting)

    def append(self, kind: str, **values: Any) -> None:
        """Add the line {"kind": kind, **values}; NaN and infinities become "NaN", "Infinity" and "-Infinity"."""
        line = json.dumps(_plain({"kind": kind, **values}), allow_nan=False, separators=(", ", ": "))
        self._waiting.append(line.encode() + b"\n")
        try:
            self._write_waiting()
        except OSError as error:
            if not self._warned:
                self._warn(f"cannot write {self.path}: {error.strerror}; will try again with every new line")
            self._warned = True

    def rewind(self, step: int, lines: int | None = None) -> None:
        """Drop what came after a checkpoint: lines past the first `lines`, and any with a "step" past step."""
        whole = _whole_lines(self.path)[:lines]
        kept = [line for line in whole if _step_of(line) <= step]
        side = self.path.with_name(self.path.name + ".part")
        side.write_bytes(b"".join(kept))
        os.replace(side, self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        self._written, self._size, self._waiting = len(kept), sum(map(len, kept)), []

    def sync(self) -> None:
        """Make the lines so far last through a power cut; before a checkpoint that counts them."""
        os.fsync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write_waiting(self) -> None:
        while self._waiting:
            line = self._waiting[0]
            # At a known place: the part of a line that a full disk still took is overwritten by the next attempt.
            if os.pwrite(self._file, line, self._size) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._waiting.pop(0)
            self._written += 1
            self._size += len(line)
        self._warned = False


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, without a torn last one; "NaN" and the infinities are floats again.

    Raises ValueError for a line that is not JSON, with its number.
    """
    found = []
    for number, line in enumerate(_whole_lines(Path(path)), start=1):
        try:
            values = json.loads(line)
        except ValueError:
            raise ValueError(f"{path}: line {number} is not JSON; fix: remove it") from None
        found.append({key: NOT_FINITE.get(v, v) if isinstance(v, str) else v for key, v in values.items()})
    return found


class Meter:
    """Loss, top-1 and top-5 over images, whatever the batches were."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.images = 0
        self._loss = 0.0
        self._correct = [0, 0]

    def add(self, loss: float, correct: tuple[int, int], images: int) -> None:
        """Count a batch: its mean loss, how many of its images were right (top-1, top-5), how many it had."""
        if images == 0:
            return  # its mean loss is not a number
        self.images += images
        self._loss += float(loss) * images
        self._correct = [total + int(new) for total, new in zip(self._correct, correct, strict=True)]

    @property
    def loss(self) -> float:
        return self._mean(self._loss)

    @property
    def top1(self) -> float:
        return self._mean(self._correct[0])

    @property
    def top5(self) -> float:
        return self._mean(self._correct[1])

    def _mean(self, total: float) -> float:
        return total / self.images if self.images else math.nan

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON, exact; a loss that is not finite as text."""
        return {"images": self.images, "loss": _plain(self._loss), "correct": list(self._correct)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.images = int(state["images"])
        self._loss = float(state["loss"])  # also of "NaN"
        self._correct = [int(count) for count in state["correct"]]


def _whole_lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _step_of(line: bytes) -> float:
    """The step of a line; infinity where it is none of ours, so that resuming drops it."""
    try:
        step = json.loads(line).get("step", -1)
    except (ValueError, AttributeError):
        return math.inf
    return step if isinstance(step, (int, float)) else math.inf


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's, and floats that JSON does not have as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
