"""Finding runs and their checkpoints on the disk."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..nn.net import Net
from . import checkpoint
from .checkpoint import Checkpoint, CheckpointError
from .run_directory import METRICS, RunDirectory, RunDirectoryError, folder_name

ROOT = "runs"
FOLDER = "checkpoints"
Warn = Callable[[str], None]


def newest_run(root: str | os.PathLike[str] = ROOT) -> Path | None:
    """The run directory in `root` whose last checkpoint is the newest."""
    found = []
    for run in Path(root).glob("*"):
        files = checkpoint.saved(run / FOLDER)
        if files:
            found.append((files[0].stat().st_mtime_ns, run))
    return max(found)[1] if found else None


def last_run_of(net: str, root: str | os.PathLike[str] = ROOT) -> Path | None:
    """The run directory in `root` of the net called `net` that was written to last, with a checkpoint or without.

    Which net a run is of, its metrics say; where they do not yet, its name does.
    """
    of_its_name = re.compile(re.escape(folder_name(net)) + r"-\d.*", re.DOTALL)
    found = []
    for run in Path(root).glob("*"):
        named = _net_of(run)
        written = [path for path in (run / METRICS, *checkpoint.saved(run / FOLDER)[:1]) if path.is_file()]
        if written and (named == net or (named is None and of_its_name.fullmatch(run.name))):
            found.append((written[0].stat().st_mtime_ns, run))
    return max(found)[1] if found else None


def _net_of(run: Path) -> str | None:
    """The net that the first line of a run's metrics names."""
    try:
        with (run / METRICS).open("rb") as file:
            name = json.loads(file.readline())["net"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def find_checkpoint(path: str | os.PathLike[str], warn: Warn) -> Checkpoint:
    """The checkpoint at `path`: a checkpoint file, or the newest that is whole of a run directory.

    warn: told about damaged ones that were passed over. Raises CheckpointError where there is none.
    """
    where = Path(path)
    if where.is_file():
        return checkpoint.load(where)
    if not where.exists():
        raise CheckpointError(f"{where}: no such file or folder; wanted a checkpoint or the folder of a run")
    folder = where / FOLDER if (where / FOLDER).is_dir() else where
    found = checkpoint.latest(folder, warn)
    if found is None:
        raise CheckpointError(f"{where}: no checkpoint in it; wanted a checkpoint or the folder of a run")
    return found


def run_of(found: Checkpoint) -> Path | None:
    """The directory of the run that a checkpoint lies in."""
    folder = found.path.parent
    return folder.parent if folder.name == FOLDER else None


def open_run(
    net: Net, out: str | os.PathLike[str] | None, resume: str | os.PathLike[str] | None, warn: Warn
) -> tuple[RunDirectory, Checkpoint | None]:
    """The directory that a run writes to, locked, and the checkpoint it goes on from, or None for a new run.

    resume: None, "auto" (the newest good checkpoint of `out`, or, without `out`, of the last run of this net in
    runs/; a new run where there is none), or a checkpoint or run directory, in which the run goes on unless `out` is
    another. warn: told about damaged checkpoints, and what "auto" has found. Raises RunDirectoryError or
    CheckpointError.
    """
    found = None
    if resume is not None and resume != "auto":
        found = find_checkpoint(resume, warn)
        out = run_of(found) if out is None else out
    elif resume == "auto" and out is None:
        out = last_run_of(net.name)
    run = RunDirectory(out, net=net.name)
    try:
        if resume == "auto":
            found = checkpoint.latest(run.checkpoints, warn) if run.used else None
            warn(_found(run, found, net, named=out is not None))
            return run, found
        own = found is not None and run_of(found) is not None and run.path.samefile(run_of(found) or "")
        if run.used and not own:
            raise RunDirectoryError(
                f"{run.path} holds another run; go on with it (--resume auto), or choose another folder (--out)"
            )
        return run, found
    except BaseException:
        run.close()
        raise


def _found(run: RunDirectory, found: Checkpoint | None, net: Net, named: bool) -> str:
    """What --resume auto has come to. named: the folder was given or found, not made."""
    if found is not None:
        return f"--resume auto: goes on with {run.path}"
    if run.used:
        return f"--resume auto: {run.path} has no checkpoint yet; it begins anew"
    if named:
        return f"--resume auto: no run in {run.path} yet; a new one begins"
    return f"--resume auto: no run of net '{net.name}' in {ROOT}/; a new one begins"


def starting_weights(net: Net, found: Checkpoint, skip_last: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A checkpoint's weights for the parameters of `net`, and the names of those left out.

    skip_last: the last layer with weights may be left out where its shapes differ: another number of classes.
    Raises CheckpointError, with every mismatch, for anything else that does not fit.
    """
    there = {name.removeprefix("w/"): array for name, array in found.arrays.items() if name.startswith("w/")}
    last = list(net.parameters.values())[-1].layer
    weights, left_out, wrong = {}, [], []
    for name, parameter in net.parameters.items():
        array = there.pop(name, None)
        if array is not None and array.shape == parameter.shape:
            weights[name] = array
        elif array is not None and parameter.layer == last and skip_last:
            left_out.append(name)
        else:
            got = "nothing" if array is None else "x".join(map(str, array.shape))
            wrong.append(f"{name} ({got} there, {'x'.join(map(str, parameter.shape))} here)")
    wrong += [f"{name} ({'x'.join(map(str, array.shape))} there, nothing here)" for name, array in there.items()]
    if wrong:
        raise CheckpointError(
            f"{found.path} does not fit net '{net.name}': {', '.join(wrong)}; use the net it was made of"
        )
    return weights, tuple(left_out)
