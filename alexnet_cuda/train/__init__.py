"""Training, and what comes of it.

    model = train.fit(nn.preset("alexnet_mini"), data.sample(), epochs=8)
    model.predict(images)                                # probabilities [n, classes]
    train.Model.load("runs/alexnet_mini-20250131-142530")

`plan` checks what is to be computed, `trainer` starts or resumes it, `loop` runs it. `optimizer` and `schedule` give
the learning rates; `state` and `checkpoint` are what survives a kill; `metrics` and `progress` what people see.
"""

from .checkpoint import CheckpointError
from .errors import TrainingError
from .hardware import best_devices
from .interrupts import Interrupted
from .model import Model, Outcome
from .trainer import fit

__all__ = ["CheckpointError", "Interrupted", "Model", "Outcome", "TrainingError", "best_devices", "fit"]
