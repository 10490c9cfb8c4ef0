"""The loop of a run: steps, evaluations, checkpoints, and what can stop it."""

from __future__ import annotations

import json
import math
import time
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from ..data.loader import Batch
from ..nn.graph import Graph
from . import checkpoint
from .checkpoint import CheckpointError, CheckpointWriteError
from .errors import TrainingError
from .evaluate import evaluate, feed
from .interrupts import Interrupts
from .metrics import Meter, MetricsFile
from .optimizer import rates, stated_rate
from .plan import Plan
from .progress import Progress
from .run_directory import RunDirectory
from .state import State, mean_of, to_checkpoint

FLAT_STEPS = 500  # with the mean loss within FLAT of ln(classes): what a net that guesses has
FLAT = 0.01
LONGEST_INTERVAL = 100  # steps between two lines of the metrics, or a few more
FAULT = "not_finite.json"


@dataclass(frozen=True)
class Saving:
    """steps, minutes: between checkpoints, besides one after each epoch; None: no more than those. keep: how many."""

    steps: int | None = None
    minutes: float | None = 10.0
    keep: int = 3


@dataclass
class Loop:
    """One run from the state it is in to its end. Everything is saved at a step's boundary, never inside one."""

    plan: Plan
    graph: Graph
    run: RunDirectory
    state: State
    interrupts: Interrupts
    saving: Saving

    def __post_init__(self) -> None:
        self.batches = len(self.plan.training(color=False))  # in an epoch
        self._validation = self.plan.validation()
        self._mean = mean_of(self.plan)
        self._lines = self.batches // max(1, min(LONGEST_INTERVAL, self.batches // 10))  # in an epoch
        self._saved_at = self._logged_at = time.monotonic()
        self._flat = 0
        self._warned_flat = False
        self._unsaved: CheckpointWriteError | None = None
        self._rate = self.plan.recipe.lr  # of the last step

    @property
    def finished(self) -> bool:
        return self.state.stopped or self.state.epoch >= self.plan.recipe.epochs

    def go(self, metrics: MetricsFile, progress: Progress) -> None:
        """Train to the end. Raises TrainingError, or Interrupted once the state is saved."""
        self.metrics, self.progress = metrics, progress
        while not self.finished:
            start = time.monotonic()
            self._train_epoch()
            self._end_epoch(start)
        if self._unsaved is not None:
            raise TrainingError(f"training has ended, but its last state is not on the disk: {self._unsaved.strerror}")

    # --- one epoch

    @property
    def _epochs_done(self) -> float:
        return self.state.epoch + self.state.batch / self.batches

    def _train_epoch(self) -> None:
        """From the batch where the state is to the end of the epoch."""
        state = self.state
        loader = self.plan.training(state.schedule.color(state.epoch))
        with closing(loader.epoch(state.epoch, first=state.batch)) as batches:
            for batch in batches:
                self._step(batch)
                self._log_if_due()
                self._save_if_due()

    def _step(self, batch: Batch) -> None:
        state, plan = self.state, self.plan
        feed(self.graph, batch)
        now = rates(plan.net, state.schedule, self._epochs_done, plan.frozen)
        self._rate = stated_rate(plan.net, state.schedule, self._epochs_done, plan.frozen)
        self.graph.train_step(state.step + 1, now, plan.recipe.momentum)
        result = self.graph.result()
        if not math.isfinite(result.loss):
            self._fail(batch, result.loss)
        state.step += 1
        state.batch += 1
        state.meter.add(result.loss, result.correct, result.images)
        state.interval.add(result.loss, result.correct, result.images)
        self.progress.step(state.step, loss=state.meter.loss, top1=state.meter.top1, images=result.images)

    def _end_epoch(self, start: float) -> None:
        """Evaluate, let the schedule look at the result, and move on to the next epoch."""
        state = self.state
        validation = self._evaluate()
        better = False
        if validation is not None:
            state.validation.load_state_dict(validation.state_dict())
            better = state.best is None or validation.top1 > state.best["top1"]
            if better:
                state.best = {"top1": validation.top1, "epoch": state.epoch + 1}
        state.stopped = state.schedule.after_epoch(None if validation is None else 1 - validation.top1)
        state.train.load_state_dict(state.meter.state_dict())
        state.epoch, state.batch = state.epoch + 1, 0
        self.progress.epoch(state.epoch, train=state.train, validation=validation, seconds=time.monotonic() - start)
        state.meter.reset()
        self._save(best=better)
        if not self.finished:
            self._stop_if_asked()

    def _evaluate(self) -> Meter | None:
        """The validation images. A signal on the way saves, and the evaluation is done again after a resume."""
        if self._validation is None:
            return None
        start, total = time.monotonic(), len(self._validation)

        def after_batch(done: int) -> bool:
            self.progress.evaluating(done, total)
            if self.interrupts.take_save():
                self._save()
            return self.interrupts.stop is None

        meter = evaluate(self.graph, self._validation, size=self.plan.store.size, after_batch=after_batch)
        if meter is None:
            self._save()
            self._stop_if_asked()
            raise AssertionError("unreachable: evaluations stop for signals alone")
        if not math.isfinite(meter.loss):
            raise TrainingError(
                f"epoch {self.state.epoch + 1}: the loss on the validation images is {meter.loss}; {self._advice()}"
            )
        values = {"loss": meter.loss, "top1": meter.top1, "top5": meter.top5}
        seconds = round(time.monotonic() - start, 3)
        self.metrics.append("validation", step=self.state.step, epoch=self._epochs_done, **values, seconds=seconds)
        self._logged_at += time.monotonic() - start  # images a second are those of training
        return meter

    # --- what is written

    def _log_if_due(self) -> None:
        """A line every tenth of an epoch, or every 100 steps: at fixed steps, so that every run has the same, and as
        evenly over the epoch as can be, so that each is a mean over as many batches as the others, or one more."""
        state = self.state
        if state.batch * self._lines // self.batches == (state.batch - 1) * self._lines // self.batches:
            return
        interval, plan, now = state.interval, self.plan, time.monotonic()
        seconds = max(now - self._logged_at, 1e-9)
        self.metrics.append(
            "train", step=state.step, epoch=self._epochs_done, loss=interval.loss, top1=interval.top1,
            top5=interval.top5, rate=stated_rate(plan.net, state.schedule, self._epochs_done, plan.frozen),
            images_per_second=round(interval.images / seconds, 1), seconds=round(seconds, 3),
        )  # fmt: skip
        self._watch_for_guessing(interval)
        self._logged_at = now
        interval.reset()

    def _watch_for_guessing(self, interval: Meter) -> None:
        guessing = math.log(self.plan.net.classes)
        steps = self.batches // self._lines
        self._flat = self._flat + steps if abs(interval.loss - guessing) < FLAT * guessing else 0
        if self._flat >= FLAT_STEPS and not self._warned_flat:
            self._warned_flat = True
            self.progress.note(
                f"the loss has stayed at ln({self.plan.net.classes}) = {guessing:.3f} for {self._flat} steps: the net "
                "guesses. Check the labels, the initial weights and biases, and the learning rate"
            )

    def _save_if_due(self) -> None:
        saving = self.saving
        due = self.interrupts.take_save() or self.interrupts.stop is not None
        due |= saving.steps is not None and self.state.step % saving.steps == 0
        due |= saving.minutes is not None and time.monotonic() - self._saved_at >= 60 * saving.minutes
        if due:
            self._save()
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        """After `_save`: raise Interrupted where a signal asked for it, or TrainingError if the disk took nothing."""
        stop = self.interrupts.stop
        if stop is not None and self._unsaved is not None:
            raise TrainingError(f"stopped by {stop.name}; the state is not saved: {self._unsaved.strerror}")
        self.interrupts.check()

    def _save(self, best: bool = False) -> None:
        """A checkpoint. A disk that does not take it is no reason to stop: the next one may fit. Weights that are
        not finite are: a checkpoint of them would push out a good one."""
        state, run = self.state, self.run
        arrays, meta = to_checkpoint(state, self.plan, self.graph, self._mean, self.batches, self.metrics.lines)
        self._refuse_not_finite(arrays)
        with suppress(OSError):  # the file says so itself, once; the lines are worth less than the checkpoint
            self.metrics.sync()
        path = None
        try:
            path = checkpoint.save(run.checkpoints, arrays, meta, step=state.step, keep=self.saving.keep, best=best)
            self._unsaved = None
        except CheckpointWriteError as error:
            self._unsaved = error
            if self.interrupts.stop is None:
                self.progress.note(f"warning: {error.strerror}; training goes on and tries again")
        self._saved_at = time.monotonic()
        if self.interrupts.stop is not None and path is not None and not self.finished:
            self.progress.note(f"saved {path} (step {state.step:,}); go on with the same command and --resume auto")

    # --- what is not finite

    def _fail(self, batch: Batch, loss: float) -> None:
        """Say where it began and with which images. The weights are those of the step before: no update was made."""
        state, train = self.state, self.plan.store.train
        where = self.graph.first_non_finite() or "the loss itself"
        ids = [int(id) for id in batch.ids if id >= 0]
        report = {
            "step": state.step + 1, "epoch": state.epoch + 1, "loss": str(loss), "rate": self._rate, "first": where,
            "images": [{"id": id, "label": int(train.labels[id]), "source": train.source(id)} for id in ids],
        }  # fmt: skip
        path = self.run.path / FAULT
        try:
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            listed = f", all in {path}"
        except OSError:
            listed = ""
        some = ", ".join(f"{id} ({train.source(id)})" for id in ids[:3])
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        raise TrainingError(
            f"step {state.step + 1} (epoch {state.epoch + 1}), learning rate {self._rate:g}: the loss is {loss}; first "
            f"not finite: {where}; the batch's images: {some}{more}{listed}; {self._advice()}"
        )

    def _refuse_not_finite(self, arrays: dict[str, np.ndarray]) -> None:
        """The loss was finite and the update was not: the next step would tell, but what is saved is saved now."""
        name = checkpoint.first_not_finite(arrays)
        if name is None:
            return
        kind, _, parameter = name.partition("/")
        raise TrainingError(
            f"step {self.state.step}, learning rate {self._rate:g}: the update has left the range of numbers; first "
            f"not finite: {'momentum' if kind == 'v' else 'parameter'} {parameter or name}; nothing is saved of it; "
            f"{self._advice()}"
        )

    def _advice(self) -> str:
        rate = np.format_float_positional(self.plan.recipe.lr / 2, precision=2, fractional=False, trim="-")
        try:
            last = checkpoint.latest(self.run.checkpoints, lambda damaged: None)
        except CheckpointError:
            return f"no checkpoint can be used; try a lower learning rate (--lr {rate})"
        if last is None:
            return f"no checkpoint yet; try a lower learning rate (--lr {rate})"
        return (
            f"the last checkpoint is {last.path}; go on from it with a lower rate: --init-from {last.path} --lr {rate}"
        )
