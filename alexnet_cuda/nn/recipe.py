"""How a net is trained: numbers only. `train` interprets them; the presets state them beside the layers.

Schedules give the factor on `Recipe.lr`; what a layer multiplies that by (2012's biases learn twice as fast) is
the layer's own (`weight_lr`, `bias_lr`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..ops import parameters


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""


@dataclass(frozen=True)
class Drop:
    """From the start of `epoch` (counted from 0) on, the rate is `factor` times the recipe's.

    layers: only these, or all when empty. Of several drops that name a layer the latest holds; 0 freezes.
    """

    epoch: int
    factor: float
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parameters.integer("Drop", "epoch", self.epoch, minimum=0)
        parameters.number("Drop", "factor", self.factor, minimum=0)


@dataclass(frozen=True)
class Steps:
    """Drops at fixed epochs. color_until: the epoch from which colour noise is off (2012's run), or None."""

    drops: tuple[Drop, ...] = ()
    color_until: int | None = None

    def __post_init__(self) -> None:
        if self.color_until is not None:
            parameters.integer("Steps", "color_until", self.color_until, minimum=0)


@dataclass(frozen=True)
class Plateau:
    """Multiply by `factor` when the validation error has not improved for `patience` epochs.

    At most `drops` times and never below `floor` times the recipe's rate; at the next plateau after that, training
    stops. The paper, section 5: divided by 10 three times "when the validation error rate stopped improving".
    """

    factor: float = 0.1
    patience: int = 3
    drops: int = 3
    floor: float = 0.0

    def __post_init__(self) -> None:
        parameters.number("Plateau", "factor", self.factor, above=0, maximum=1)
        parameters.integer("Plateau", "patience", self.patience, minimum=1)
        parameters.integer("Plateau", "drops", self.drops, minimum=0)
        parameters.number("Plateau", "floor", self.floor, minimum=0)


@dataclass(frozen=True)
class Dexp:
    """cuda-convnet2's `dexp`: from 1 down to `1 / ratio` in `steps` equal logarithmic steps over the run."""

    ratio: float = 250.0
    steps: int = 4

    def __post_init__(self) -> None:
        parameters.number("Dexp", "ratio", self.ratio, above=0)
        parameters.integer("Dexp", "steps", self.steps, minimum=1)


Schedule = Constant | Steps | Plateau | Dexp
SCHEDULES: dict[str, type] = {kind.__name__: kind for kind in (Constant, Steps, Plateau, Dexp)}


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image. color: the standard deviation of the colour noise along the principal
    components of the training pixels, in units of theirs (the paper and 2012's code: 0.1), or 0 for none."""

    random_crop: bool = True
    flip: bool = True
    color: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Everything about training that is not the net: the paper's values unless a preset says otherwise.

    batch: images; epochs: passes over the data; lr: learning rate; bias_schedule: of the biases, where it differs;
    store_size: side in pixels of the stored images the crops are cut from; mean: what is subtracted, the "image"
    (per pixel), the "channel" means, or "none"; pixel_scale: the factor on what is then left of the 0 to 255. 2012
    had none (1), which suits its small initial weights; He's want inputs of variance about 1, hence the default.
    """

    batch: int = 128
    epochs: int = 90
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    schedule: Schedule = field(default_factory=Constant)
    bias_schedule: Schedule | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    store_size: int = 256
    mean: str = "image"
    pixel_scale: float = 1 / 64

    def __post_init__(self) -> None:
        for name in ("batch", "epochs", "store_size"):
            parameters.integer("recipe", name, getattr(self, name), minimum=1)
        for name in ("lr", "weight_decay"):
            parameters.number("recipe", name, getattr(self, name), minimum=0)
        parameters.number("recipe", "color", self.augmentation.color, minimum=0)
        parameters.number("recipe", "pixel_scale", self.pixel_scale, above=0)
        if not parameters.number("recipe", "momentum", self.momentum, minimum=0) < 1:
            raise ValueError(f"recipe: argument 'momentum': got {self.momentum!r}, wanted below 1")
        for name, schedule in (("schedule", self.schedule), ("bias_schedule", self.bias_schedule)):
            if not isinstance(schedule, Schedule) and not (schedule is None and name == "bias_schedule"):
                kinds = ", ".join(f"nn.recipe.{kind}" for kind in SCHEDULES)
                raise ValueError(f"recipe: {name}: got {schedule!r}, wanted one of {kinds}")
        if self.mean not in ("image", "channel", "none"):
            raise ValueError(f"recipe: mean: got {self.mean!r}, wanted 'image', 'channel' or 'none'")

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON's types."""
        values = dataclasses.asdict(self)
        for name in ("schedule", "bias_schedule"):
            schedule = getattr(self, name)
            if schedule is not None:
                values[name] = {"kind": type(schedule).__name__, **values[name]}
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """What `to_json` wrote. Raises ValueError or TypeError for anything else."""
        values = dict(values)
        for name in ("schedule", "bias_schedule"):
            if values.get(name) is not None:
                values[name] = _schedule(values[name])
        values["augmentation"] = Augmentation(**values["augmentation"])
        return cls(**values)


def _schedule(values: dict[str, Any]) -> Schedule:
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in SCHEDULES:
        raise ValueError(f"recipe: unknown schedule {kind!r}; there are {', '.join(SCHEDULES)}")
    if "drops" in values and kind == "Steps":
        values["drops"] = tuple(Drop(d["epoch"], d["factor"], tuple(d["layers"])) for d in values["drops"])
    schedule: Schedule = SCHEDULES[kind](**values)
    return schedule
