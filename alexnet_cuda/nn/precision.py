"""The numbers a net is stored and computed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops.arrays import BFLOAT16, FLOAT32, FLOAT64


@dataclass(frozen=True)
class Precision:
    """compute: of activations, their gradients, and the weights that layers read; master: of the weights that updates
    change, of momenta, biases, the gradients of parameters, and the loss. Sums are taken in `master`.

    Where the two differ, every weight is there twice: the update changes the master, and rounds it into the copy that
    layers read. Logits are `master` too, where a matrix product makes them.
    """

    name: str
    compute: np.dtype
    master: np.dtype

    @property
    def has_copies(self) -> bool:
        return self.compute != self.master


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("fp32", FLOAT32, FLOAT32),
        Precision("bf16", BFLOAT16, FLOAT32),
        Precision("fp64", FLOAT64, FLOAT64),
    )
}
TRAINED = ("fp32", "bf16")  # fp64 is for tests, on NumPy's backends


def named(name: Any, allowed: tuple[str, ...] = tuple(PRECISIONS)) -> Precision:
    """The precision of that name. Raises ValueError, with those there are, for any other."""
    if not isinstance(name, str) or name not in allowed:
        *others, last = (f"'{known}'" for known in allowed)
        raise ValueError(f"precision: got {name!r}, wanted {', '.join(others)} or {last}")
    return PRECISIONS[name]
