"""Checkpoints: the state of a run in one file that is whole or not there.

A file is written in a folder of its own in the same place, synced and renamed, so a run killed at any moment leaves
either the new checkpoint or what was there before; `load` verifies every byte. What goes in is the trainer's business:
arrays by name (canonical whole-layer weights, so that a run moves freely between placements) and JSON.

A folder holds one history. A save at step k removes the step files past k: they are the future of a run that was
resumed from an older checkpoint. The best is put in place before the step file of the same save, so no checkpoint
knows of a best that is not there yet.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import container
from .container import CheckpointError

__all__ = [
    "BEST",
    "Checkpoint",
    "CheckpointError",
    "CheckpointWriteError",
    "first_not_finite",
    "latest",
    "load",
    "save",
    "saved",
]

FORMAT_VERSION = 1
BEST = "best.safetensors"
STEP_NAME = re.compile(r"step-(\d+)\.safetensors")
UNFINISHED = "unfinished"  # a folder: what is written, under whatever names the library takes on its way
CHUNK = 1 << 20  # numbers looked at together: the search for NaN needs no second copy of a layer


class CheckpointWriteError(OSError):
    """The disk did not take a checkpoint. The older ones are as they were, so training can go on."""


@dataclass(frozen=True)
class Checkpoint:
    """What `load` read. arrays: writable, C-contiguous; meta: what json.loads makes of what was saved."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    path: Path
    step: int


def save(
    directory: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
    *,
    step: int,
    keep: int = 3,
    best: bool = False,
) -> Path:
    """Write `step-<step>.safetensors` into directory (made if needed), and with best=True also `best.safetensors`.

    keep: how many step files stay, the newest ones. Returns the path of the step file. Raises CheckpointWriteError
    when the disk does not take it, TypeError or ValueError for what no checkpoint can hold: arrays of objects, and
    meta that is not JSON (NaN and infinity are not).
    """
    for name, value, least in (("step", step, 0), ("keep", keep, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: got {value!r}, wanted an integer of at least {least}")
    folder = Path(directory)
    path = folder / f"step-{step:010}.safetensors"
    text = {"format": str(FORMAT_VERSION), "step": str(step), "meta": json.dumps(meta, allow_nan=False)}
    unfinished = folder / UNFINISHED
    whole = unfinished / path.name
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir(parents=True)
        container.write(whole, arrays, text)
        _sync(whole)
        if best:
            _put_best(folder, whole)
        os.replace(whole, path)
        _sync(folder)
    except OSError as error:
        raise CheckpointWriteError(
            error.errno, f"cannot write {path}: {error.strerror}; the older checkpoints are untouched"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _prune(folder, step, keep)
    return path


def load(path: str | os.PathLike[str], *, force: bool = False) -> Checkpoint:
    """Read and verify a checkpoint; force=True takes it also with NaN or infinity inside.

    Raises CheckpointError, one line with the fix: the file is missing, empty, incomplete, damaged (the array or the
    metadata is named), not a checkpoint, of another format version, or holds numbers that are not finite.
    """
    path = Path(path)
    arrays, text = container.read(path)
    if text.get("format") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path} has checkpoint format {text.get('format')}, this version reads {FORMAT_VERSION}"
            "; fix: use it with the version of alexnet_cuda that wrote it"
        )
    for name, array in arrays.items():
        count = 0 if force else _not_finite(array)
        if count:
            raise CheckpointError(
                f"{path}: {count:,} of the {array.size:,} numbers in {name!r} are NaN or infinite"
                "; fix: use an earlier checkpoint (from Python, checkpoint.load(path, force=True) takes it as it is)"
            )
    return Checkpoint(arrays, json.loads(text["meta"]), path, int(text["step"]))


def latest(directory: str | os.PathLike[str], warn: Callable[[str], None], *, force: bool = False) -> Checkpoint | None:
    """The newest checkpoint in directory that can be used, or None where there is none at all.

    `warn` gets a line for each damaged one that was passed over, naming the one used instead; the best is the last
    resort. Raises CheckpointError when there are checkpoints and none can be used: starting anew is for the user
    to decide.
    """
    problems: list[str] = []
    folder = Path(directory)
    for path in [*saved(folder), *folder.glob(BEST)]:
        try:
            checkpoint = load(path, force=force)
        except CheckpointError as error:
            problems.append(str(error).partition("; fix:")[0])
            continue
        for problem in problems:
            warn(f"{problem}; using {path.name} (step {checkpoint.step:,}) instead")
        return checkpoint
    if problems:
        raise CheckpointError(
            f"no checkpoint in {folder} can be used: {'; '.join(problems)}; fix: remove them to start anew"
        )
    return None


def saved(directory: str | os.PathLike[str]) -> list[Path]:
    """The step files in directory, newest first, good or not."""
    found = [(int(match[1]), path) for path in Path(directory).glob("*") if (match := STEP_NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _put_best(folder: Path, whole: Path) -> None:
    copy = whole.with_name(BEST)
    try:
        os.link(whole, copy)
    except OSError:  # a file system without hard links
        shutil.copyfile(whole, copy)
        _sync(copy)
    os.replace(copy, folder / BEST)
    _sync(folder)


def _sync(path: Path) -> None:
    """Make a file, or the renames in a folder, last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems say that sync no folders
            raise
    finally:
        os.close(descriptor)


def _prune(folder: Path, step: int, keep: int) -> None:
    current = f"step-{step:010}.safetensors"
    files = saved(folder)
    newest = next(index for index, path in enumerate(files) if path.name == current)
    for path in files[:newest] + files[newest + keep :]:
        with suppress(OSError):  # the next save tries again
            path.unlink()


def first_not_finite(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The name of the first array with NaN or infinity in it, which `load` would refuse."""
    return next((name for name, array in arrays.items() if _not_finite(array)), None)


def _not_finite(array: np.ndarray) -> int:
    if array.dtype.kind in "biu":
        return 0
    flat = array.reshape(-1)
    chunks = (flat[start : start + CHUNK] for start in range(0, flat.size, CHUNK))
    return sum(chunk.size - int(np.count_nonzero(np.isfinite(chunk))) for chunk in chunks)
