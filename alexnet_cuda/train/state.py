"""Where a run is, in the form of a checkpoint: everything that the next step depends on and the plan does not hold."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import config
from ..nn.graph import Graph
from .checkpoint import Checkpoint, CheckpointError
from .hardware import blas_threads
from .metrics import Meter
from .plan import Plan
from .schedule import Schedule


@dataclass
class State:
    """step: training steps done; epoch: epochs done, with their evaluation; batch: batches done of the one after.

    meter: of that epoch; interval: since the last line in metrics.jsonl; train, validation: of the last whole epoch;
    best: {"top1", "epoch"} of the best validation, epochs counted from 1; stopped: the schedule has ended the run.
    """

    schedule: Schedule
    step: int = 0
    epoch: int = 0
    batch: int = 0
    meter: Meter = field(default_factory=Meter)
    interval: Meter = field(default_factory=Meter)
    train: Meter = field(default_factory=Meter)
    validation: Meter = field(default_factory=Meter)
    best: dict[str, Any] | None = None
    stopped: bool = False


_METERS = ("meter", "interval", "train", "validation")
_PLAIN = {"step": "step", "epoch": "epoch", "batch": "batch_in_epoch", "best": "best", "stopped": "stopped"}


def to_checkpoint(
    state: State, plan: Plan, graph: Graph, mean: np.ndarray | None, batches: int, lines: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata. batches: in an epoch; lines: in metrics.jsonl so far."""
    arrays = {f"w/{name}": array for name, array in graph.weights().items()}
    arrays |= {f"v/{name}": array for name, array in graph.momenta().items()}
    if mean is not None:
        arrays["mean"] = mean
    meta: dict[str, Any] = plan.identity()
    meta |= {key: getattr(state, name) for name, key in _PLAIN.items()}
    meta |= {name: getattr(state, name).state_dict() for name in _METERS}
    meta |= {
        "schedule": state.schedule.state_dict(),
        "evaluation_due": state.batch == batches,
        "metrics_lines": lines,
        "store_path": None if plan.store.path is None else str(plan.store.path.resolve()),
        "class_names": list(plan.store.class_names),
        "preprocessing": {
            "size": plan.store.size, "channels": plan.store.channels, "crop": plan.net.input_shape[1],
            "mean": plan.recipe.mean,
        },
        "devices": [device.name for device in graph.devices],
        "software": {
            "alexnet_cuda": config.version("alexnet-cuda"), "numpy": np.__version__,
            "python": ".".join(map(str, sys.version_info[:3])),
        },
        "blas_threads": blas_threads(),
    }  # fmt: skip
    return arrays, meta


def from_checkpoint(found: Checkpoint, plan: Plan, graph: Graph) -> State:
    """The state in a checkpoint of this plan; weights and momentum go to `graph`.

    Raises CheckpointError where something is missing.
    """
    try:
        state = State(Schedule(plan.recipe))
        state.schedule.load_state_dict(found.meta["schedule"])
        for name, key in _PLAIN.items():
            setattr(state, name, found.meta[key])
        for name in _METERS:
            getattr(state, name).load_state_dict(found.meta[name])
        graph.set_weights({name: found.arrays[f"w/{name}"] for name in plan.net.parameters})
        graph.set_momenta({name: found.arrays[f"v/{name}"] for name in plan.net.parameters})
    except KeyError as error:
        raise CheckpointError(f"{found.path}: holds no state of a training run ({error} is missing)") from error
    return state


def mean_of(plan: Plan) -> np.ndarray | None:
    """What the recipe subtracts from the pixels: float32 [S, S, C], [C] or nothing."""
    if plan.recipe.mean == "none":
        return None
    image = np.asarray(plan.store.mean_image, np.float32)
    return image if plan.recipe.mean == "image" else image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
