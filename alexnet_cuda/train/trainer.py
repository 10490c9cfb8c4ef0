"""`fit`: from a net and a store to a trained model."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TextIO

import numpy as np

from .. import nn
from ..data.store import Store
from ..nn.graph import Graph
from ..nn.net import Net
from ..ops import parameters
from . import checkpoint
from .checkpoint import Checkpoint, CheckpointError
from .hardware import blas_threads, usable_devices
from .interrupts import Interrupts
from .loop import Loop, Saving
from .metrics import MetricsFile
from .model import Model, Outcome
from .plan import Plan, differences, make_plan
from .progress import Progress
from .run_directory import RunDirectory
from .runs import find_checkpoint, open_run, run_of, starting_weights
from .schedule import Schedule
from .state import State, from_checkpoint, mean_of


def fit(
    net: Net, store: Store, *, epochs: int | None = None, seed: int = 0, devices: str | None = None,
    batch: int | None = None, lr: float | None = None, out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None, init_from: str | os.PathLike[str] | None = None,
    freeze: Sequence[str] = (), subset: np.ndarray | None = None, evaluate: bool = True,
    precision: str = "fp32", workers: int = 2, checkpoint_every: int | None = None,
    checkpoint_minutes: float | None = 10.0, keep: int = 3, progress: bool = True, stream: TextIO | None = None,
) -> Model:  # fmt: skip
    """Train a net by its recipe: stochastic gradient descent with momentum and weight decay, as in the paper.

    net: from `nn.preset` or `nn.Net`, with as many outputs as the store has classes. store: from `data.open` or
    `data.sample`; after each epoch its validation images, if it has any, are evaluated from their centre crops.
    epochs (passes over the data), batch (images) and lr (learning rate): in place of the recipe's. seed: 0 to
    2^64 - 1, of initial weights, order, crops and dropout. devices: as `nn.devices` takes them, or None for the best
    there are. out: folder for metrics.jsonl and checkpoints, or None for a new one, runs/<net>-<date>.
    resume: "auto", to go on from the newest good checkpoint of `out` (without `out`: of the newest run of this net in
    runs/), or to start where there is none; or a checkpoint, or the folder of a run. The result has the bits of the
    run that was not interrupted. init_from: a checkpoint or a run whose weights are where this run begins; the last
    layer begins anew if its number of classes differs. freeze: names of layers that do not change. subset: ids of the
    training images to use, integers [n]. evaluate: False leaves out the validation images. precision: "fp32", or
    "bf16", which halves the memory of activations and is for GPUs with tensor cores; checkpoints are float32 in both,
    but a run is resumed in the precision it was begun in, and another begins with its weights (init_from). workers:
    threads that prepare batches, 0 for none; they change no bit. checkpoint_every, checkpoint_minutes: more checkpoints
    than the one after each epoch, every so many steps or minutes; keep: how many stay, besides the best. progress:
    False prints warnings alone, on stderr; stream: where progress goes, stdout for None.

    Returns the model with the last weights; `model.outcome` says what is where. SIGTERM and SIGINT save at the next
    step and raise Interrupted, SIGUSR1 saves and goes on.

    Raises TypeError or ValueError for arguments that do not fit, among them CheckpointError, and RunDirectoryError for
    a folder that holds another run; DeviceError, MemoryError; and TrainingError where the loss or a weight is not
    finite, or the disk did not take the last checkpoint.
    """
    plan = make_plan(
        net, store, epochs=epochs, batch=batch, lr=lr, seed=seed, freeze=freeze, subset=subset, evaluate=evaluate,
        precision=precision, workers=workers,
    )  # fmt: skip
    saving = _saving(checkpoint_every, checkpoint_minutes, keep)
    where = usable_devices(plan.net, devices)
    if init_from is not None and resume not in (None, "auto"):
        raise ValueError("fit: both init_from and resume: a run that is resumed has weights; leave one out")
    graph = nn.place(plan.net, where, plan.recipe.batch, precision=plan.precision, seed=plan.seed, mean=mean_of(plan))
    notes: list[str] = []
    _begin(plan, graph, init_from, notes)
    run, found = open_run(plan.net, out, resume, notes.append)
    with run, Interrupts() as interrupts:
        state = State(Schedule(plan.recipe)) if found is None else _resumed(found, plan, graph, notes)
        loop = Loop(plan, graph, run, state, interrupts, saving)
        with Progress(
            epochs=plan.recipe.epochs, steps_per_epoch=loop.batches, done=state.step, quiet=not progress, stream=stream
        ) as shown:  # fmt: skip
            if progress:
                shown.note(_headline(plan, graph, run))
            if found is not None and loop.finished:
                notes.append("nothing is left to do; train on with more --epochs, or without --resume for a new run")
            for note in notes:
                shown.note(note)
            with closing(_metrics(run, plan, graph, state, found, shown)) as metrics:
                loop.go(metrics, shown)
        return _model(plan, graph, run, state, devices)


def _headline(plan: Plan, graph: Graph, run: RunDirectory) -> str:
    devices = " and ".join(device.name for device in graph.devices)
    epochs = f"{plan.recipe.epochs} epoch{'s' if plan.recipe.epochs > 1 else ''}"
    return (
        f"{plan.net.name}, {plan.net.parameter_count:,} parameters, in {plan.precision} on {devices}; {epochs} in "
        f"batches of {plan.recipe.batch}; {plan.store.description}; run: {run.path}"
    )


def _saving(steps: int | None, minutes: float | None, keep: int) -> Saving:
    if steps is not None:
        steps = parameters.integer("fit", "checkpoint_every", steps, minimum=1)
    if minutes is not None:
        minutes = parameters.number("fit", "checkpoint_minutes", minutes, above=0)
    return Saving(steps, minutes, parameters.integer("fit", "keep", keep, minimum=1))


def _begin(plan: Plan, graph: Graph, init_from: str | os.PathLike[str] | None, notes: list[str]) -> None:
    """Initial weights, drawn or those of a checkpoint, and momentum zero."""
    weights = plan.net.initial(plan.seed)
    if init_from is not None:
        found = find_checkpoint(init_from, notes.append)
        taken, left_out = starting_weights(plan.net, found, skip_last=True)
        weights |= taken
        notes.append(f"weights from {found.path}" + (f", but for {', '.join(left_out)}" if left_out else ""))
    graph.set_weights(weights)
    graph.set_momenta({name: np.zeros_like(array) for name, array in weights.items()})


def _resumed(found: Checkpoint, plan: Plan, graph: Graph, notes: list[str]) -> State:
    """The state to go on from. Raises CheckpointError, naming what differs, for a checkpoint of another run."""
    try:
        wrong = differences(plan, found.meta)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{found.path}: holds no training run of this version ({error!r})") from error
    if wrong:
        raise CheckpointError(
            f"cannot resume from {found.path}: it differs in {', '.join(wrong)}; use the settings it was begun with, "
            "or begin a new run with its weights (--init-from)"
        )
    state = from_checkpoint(found, plan, graph)
    notes.append(f"resumed from {found.path}: {state.step:,} steps and {state.epoch} epochs are done")
    if found.meta["blas_threads"] != blas_threads():
        notes.append(
            f"NumPy now has {blas_threads()} threads for products, before it had {found.meta['blas_threads']}: the "
            "last bits of the weights can differ from those of an uninterrupted run (OPENBLAS_NUM_THREADS)"
        )
    return state


def _metrics(
    run: RunDirectory, plan: Plan, graph: Graph, state: State, found: Checkpoint | None, shown: Progress
) -> MetricsFile:
    """metrics.jsonl as it was when the checkpoint was made; a copy, where the run goes on in another folder."""
    origin = None if found is None else run_of(found)
    if origin is not None and not run.metrics.exists() and (origin / run.metrics.name).exists():
        shutil.copyfile(origin / run.metrics.name, run.metrics)
    metrics = MetricsFile(run.metrics, warn=shown.note)
    metrics.rewind(state.step, 0 if found is None else found.meta["metrics_lines"])
    if metrics.lines == 0:
        recipe = plan.recipe
        metrics.append(
            "run", step=0, net=plan.net.name, images=plan.store.description, seed=plan.seed, epochs=recipe.epochs,
            batch=recipe.batch, rate=recipe.lr, devices=[device.name for device in graph.devices],
            precision=plan.precision, parameters=plan.net.parameter_count, time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        )  # fmt: skip
    return metrics


def _model(plan: Plan, graph: Graph, run: RunDirectory, state: State, devices: str | None) -> Model:
    model = Model(
        plan.net, graph.weights(), mean=mean_of(plan), size=plan.store.size, class_names=plan.store.class_names,
        devices=devices, precision=plan.precision,
    )  # fmt: skip
    best = run.checkpoints / checkpoint.BEST
    model.outcome = Outcome(
        run=run.path, epochs=state.epoch, train=state.train,
        validation=state.validation if state.validation.images else None, best=state.best, metrics=run.metrics,
        curve=run.curve, checkpoint=next(iter(checkpoint.saved(run.checkpoints)), None),
        best_checkpoint=best if state.best is not None and best.exists() else None,
    )  # fmt: skip
    return model
