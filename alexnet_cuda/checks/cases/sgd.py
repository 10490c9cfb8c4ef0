"""Cases of the update."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...ops.arrays import BFLOAT16
from ..table import Arguments, Operation, sample


@dataclass(frozen=True)
class UpdateCase:
    """lr_scale: the factor in a step state, or None for no state; ok=False: the loss was not finite."""

    name: str
    shape: tuple[int, ...]
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    lr_scale: float | None = None
    ok: bool = True


CASES = (
    UpdateCase("one weight", (1,)),
    UpdateCase("no momentum, no decay", (33,), momentum=0.0, weight_decay=0.0),
    UpdateCase("frozen", (17,), lr=0.0),
    UpdateCase("powers of two", (31, 5), lr=0.25, momentum=0.5, weight_decay=0.125),
    UpdateCase("rate scaled by the state", (3, 5, 5, 7), lr_scale=0.125),
    UpdateCase("loss not finite", (64,), lr_scale=1.0, ok=False),
    *(UpdateCase(f"{n} weights", (n,)) for n in (2, 3, 4, 5, 255, 256, 257, 1025)),
    UpdateCase("alexnet_2012 conv1", (3, 11, 11, 96)),
    UpdateCase("alexnet_2012 conv2", (48, 5, 5, 256)),
    UpdateCase("alexnet_2012 conv3", (256, 3, 3, 384)),
    UpdateCase("alexnet_2012 conv4", (192, 3, 3, 384)),
    UpdateCase("alexnet_2012 conv5", (192, 3, 3, 256)),
    *(UpdateCase(f"alexnet_2012 {n} biases", (n,), lr=0.02, weight_decay=0.0) for n in (96, 256, 384, 1000, 4096)),
)


def _draw(case: UpdateCase, rng: np.random.Generator, values: str) -> Arguments:
    state = step_state(case.lr_scale, case.ok)
    fixed = {"lr": case.lr, "momentum": case.momentum, "weight_decay": case.weight_decay, "state": state}
    fixed["w_bf16"] = np.zeros(case.shape, BFLOAT16)
    return Arguments(sums={name: sample(rng, case.shape, values) for name in ("w", "v", "dw")}, values={}, fixed=fixed)


def step_state(lr_scale: float | None, ok: bool) -> np.ndarray | None:
    if lr_scale is None:
        return None
    state = ops.step_state(7, lr_scale)
    state[1] = ok
    return state


def update_scale(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, *, lr: float, momentum: float, weight_decay: float,
    state: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Scales of w, v and w_bf16 after an update; dw: the gradient's own scale."""
    if state is not None:
        lr = lr * float(state[2:].view(np.float32)[0]) * float(state[1])
        if not state[1]:
            return (np.zeros_like(w),) * 3
    step = momentum * np.abs(v) + lr * (weight_decay * np.abs(w) + np.abs(dw))
    w = np.abs(w) + step
    # The reference's copy is rounded to bfloat16 as well: half a digit more, in units of 4 * 2^-24 * sqrt(terms).
    return w, step, w * (1 + 2.0**-8 / 2.0**-21)


def _scale(a: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return update_scale(**{name: value for name, value in a.items() if name != "w_bf16"})


def is_exact(a: dict[str, Any]) -> bool:
    """Whether all rates are fractions of a few bits, so that no product of a small integer is rounded."""
    rates = [a[name] for name in a if name == "momentum" or name.endswith(("lr", "weight_decay"))]
    return all(rate.as_integer_ratio()[1] <= 1024 for rate in rates)


OPERATIONS = (
    Operation(
        "sgd_momentum",
        ("w", "v", "w_bf16"),
        CASES,
        _draw,
        terms=lambda a: 4,  # three products and their constants, one sum
        scale=_scale,
        exact_on_integers=is_exact,
        in_place=("w", "v", "w_bf16"),
    ),
)
