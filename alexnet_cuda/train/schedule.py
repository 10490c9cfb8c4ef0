"""The learning rate over a run: what the schedules of `nn.recipe` mean."""

from __future__ import annotations

import math
from typing import Any

from ..nn import recipe as recipes

ROUNDING = 1e-9  # of a step of `Dexp`: an epoch that is a whole number of steps counts as that


class Schedule:
    """The factors on `Recipe.lr` of one run, for weights and biases, and whether training goes on.

    epochs: how many this run has; the recipe's when None. `Dexp` spreads over them, `Steps` keeps to its own.
    """

    def __init__(self, recipe: recipes.Recipe, epochs: int | None = None) -> None:
        total = recipe.epochs if epochs is None else epochs
        self._weights = _Course(recipe.schedule, total)
        self._biases = self._weights if recipe.bias_schedule is None else _Course(recipe.bias_schedule, total)
        self._courses = (self._weights,) if self._biases is self._weights else (self._weights, self._biases)

    @property
    def needs_validation(self) -> bool:
        """Whether the rates depend on the validation error."""
        return any(isinstance(course.schedule, recipes.Plateau) for course in self._courses)

    def factor(self, layer: str, epoch: float, *, bias: bool = False) -> float:
        """What multiplies the recipe's rate for a layer; epoch: passes over the data done, with the fraction."""
        return (self._biases if bias else self._weights).factor(layer, epoch)

    def color(self, epoch: float) -> bool:
        """Whether the recipe's colour noise is (still) on."""
        schedule = self._weights.schedule
        until = schedule.color_until if isinstance(schedule, recipes.Steps) else None
        return until is None or epoch < until

    def after_epoch(self, validation_error: float | None) -> bool:
        """Take note of an epoch's validation error (None: there are no validation images); True: stop training.

        The weights' schedule decides about stopping. Raises ValueError where a plateau has nothing to watch.
        """
        stops = [course.after_epoch(validation_error) for course in self._courses]
        return stops[0]

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        return {"courses": [course.state_dict() for course in self._courses]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises ValueError if that was with other kinds of schedules."""
        saved = state["courses"]
        kinds = [type(course.schedule).__name__ for course in self._courses]
        if [values["kind"] for values in saved] != kinds:
            theirs = ", ".join(values["kind"] for values in saved)
            raise ValueError(
                f"schedule: the checkpoint is of a run with {theirs}, this one has {', '.join(kinds)}"
                "; fix: resume with the recipe the run was started with"
            )
        for course, values in zip(self._courses, saved, strict=True):
            course.load_state_dict(values)


class _Course:
    """One schedule and its state. Only a plateau has any: the best error, epochs since, and drops made."""

    def __init__(self, schedule: recipes.Schedule, epochs: int) -> None:
        self.schedule = schedule
        self._epochs = epochs
        self._best: float | None = None
        self._waited = 0
        self._drops = 0

    def factor(self, layer: str, epoch: float) -> float:
        schedule = self.schedule
        if isinstance(schedule, recipes.Steps):
            return _of_steps(schedule, layer, epoch)
        if isinstance(schedule, recipes.Dexp):
            return _of_dexp(schedule, epoch / self._epochs)
        if isinstance(schedule, recipes.Plateau):
            return max(schedule.factor**self._drops, schedule.floor)
        return 1.0

    def after_epoch(self, error: float | None) -> bool:
        schedule = self.schedule
        if not isinstance(schedule, recipes.Plateau):
            return False
        if error is None:
            raise ValueError(
                "schedule Plateau watches the validation error, and there are no validation images"
                "; fix: add some, or train with another schedule"
            )
        if not math.isnan(error) and (self._best is None or error < self._best):
            self._best, self._waited = error, 0
            return False
        self._waited += 1
        if self._waited < schedule.patience:
            return False
        if self._drops == schedule.drops or schedule.factor**self._drops <= schedule.floor:
            return True
        self._drops, self._waited = self._drops + 1, 0
        return False

    def state_dict(self) -> dict[str, Any]:
        kind = type(self.schedule).__name__
        return {"kind": kind, "best": self._best, "waited": self._waited, "drops": self._drops}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self._best, self._waited, self._drops = values["best"], values["waited"], values["drops"]


def _of_steps(schedule: recipes.Steps, layer: str, epoch: float) -> float:
    factor = 1.0
    for drop in sorted(schedule.drops, key=lambda drop: drop.epoch):
        if drop.epoch <= epoch and (not drop.layers or layer in drop.layers):
            factor = drop.factor
    return factor


def _of_dexp(schedule: recipes.Dexp, progress: float) -> float:
    """cuda-convnet2: base * ratio ** (-floor(progress * steps) / (steps - 1)): `steps` values, base to base / ratio."""
    if schedule.steps == 1:
        return 1.0
    step = min(math.floor(progress * schedule.steps + ROUNDING), schedule.steps - 1)
    return schedule.ratio ** (-step / (schedule.steps - 1))
