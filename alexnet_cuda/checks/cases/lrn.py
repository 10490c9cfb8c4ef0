"""Cases of local response normalisation, across channels and within one channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ..table import FUNCTION_ROUNDINGS, Arguments, Operation, sample


@dataclass(frozen=True)
class LrnCase:
    """Constants are the paper's by default; a large alpha makes the sum, not k, decide."""

    name: str
    x: tuple[int, int, int, int]
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0
    groups: int = 1


_CONSTANTS = (
    LrnCase("window of 1", (4, 3, 2, 5), size=1, alpha=0.5),
    LrnCase("even window", (7, 3, 3, 4), size=4, alpha=0.3),
    LrnCase("large alpha", (9, 4, 5, 3), alpha=1.0, k=1.0),
    LrnCase("alpha 0", (5, 2, 2, 3), alpha=0.0),
    LrnCase("beta 0.5", (6, 3, 4, 2), alpha=0.2, beta=0.5),
    LrnCase("beta 1", (6, 3, 4, 2), alpha=0.2, beta=1.0),
    LrnCase("beta 0.6", (6, 3, 4, 2), alpha=0.2, beta=0.6),
    LrnCase("beta -0.5", (6, 3, 4, 2), alpha=0.2, beta=-0.5),
    LrnCase("primes", (13, 7, 5, 11), alpha=0.1),
    *(LrnCase(f"batch of {n}", (6, 3, 5, n), alpha=0.1) for n in (1, 2, 31, 32, 33, 127, 128, 129, 257)),
)
ACROSS = (
    *_CONSTANTS,
    LrnCase("window of 9 over 5 channels", (5, 3, 2, 4), size=9, alpha=0.2),
    LrnCase("one channel", (1, 4, 3, 5), alpha=0.2),
    LrnCase("two groups", (10, 3, 3, 4), alpha=0.5, groups=2),
    LrnCase("three groups of 2, window of 4", (6, 3, 3, 4), size=4, alpha=0.5, groups=3),
    LrnCase("alexnet_2012 norm1", (96, 55, 55, 2), alpha=2e-5, groups=2),
    LrnCase("alexnet_2012 norm2", (256, 27, 27, 3), alpha=2e-5, groups=2),
    LrnCase("alexnet_paper norm1", (96, 55, 55, 1), groups=2),
    LrnCase("alexnet_paper norm2", (256, 27, 27, 1), groups=2),
    LrnCase("alexnet_paper norm1, a tower alone", (48, 55, 55, 1)),
    LrnCase("alexnet_paper norm2, a tower alone", (128, 27, 27, 2)),
    LrnCase("alexnet_mini norm1", (16, 32, 32, 3), groups=2),
)
WITHIN = (
    *_CONSTANTS,
    LrnCase("window larger than the map", (3, 3, 2, 4), size=9, alpha=0.2),
    LrnCase("one pixel", (5, 1, 1, 3), alpha=0.2),
    LrnCase("alexnet_2012 same-map norm2", (256, 27, 27, 2), alpha=4e-5, k=2.0),
    LrnCase("cuda-convnet 18% pool1", (32, 16, 16, 3), size=3, alpha=5e-5, k=1.0),
)


def _draw(case: LrnCase, rng: np.random.Generator, values: str, *, backward: bool, groups: bool) -> Arguments:
    arrays = {"x": sample(rng, case.x, values)}
    if backward:
        arrays["dy"] = sample(rng, case.x, values)
    fixed = {"size": case.size, "alpha": case.alpha, "beta": case.beta, "k": case.k}
    if groups:
        fixed["groups"] = case.groups
    return Arguments(values=arrays, fixed=fixed)


def _operation(name: str, cases: tuple[LrnCase, ...], within: bool) -> tuple[Operation, Operation]:
    """The forward and the backward operation; both are relative to sums of positive numbers."""
    forward = getattr(ops, name)
    backward = getattr(ops, f"{name}_backward")

    def neighbours(a: dict[str, Any]) -> int:
        return int(a["size"]) ** (2 if within else 1)

    def backward_scale(a: dict[str, Any]) -> np.ndarray:
        # Of |x| and |dy| the gradient is first - second, two terms without a sum of mixed signs in either. The first is
        # |dy| * s^-beta, and s^-beta is what the forward operation multiplies x by; the bound wants first + |second|.
        x, dy = np.abs(a["x"]), np.abs(a["dy"])
        difference = backward(**{**a, "x": x, "dy": dy})
        constants = {key: value for key, value in a.items() if key not in ("x", "dy")}
        power = np.divide(forward(x, **constants), x, out=np.full_like(x, a["k"] ** -a["beta"]), where=x > 0)
        first = dy * power
        return first + np.abs(first - difference)

    return (
        Operation(
            name,
            ("y",),
            cases,
            lambda case, rng, values: _draw(case, rng, values, backward=False, groups=not within),
            terms=lambda a: neighbours(a) + FUNCTION_ROUNDINGS,
            scale=lambda a: np.abs(forward(**a)),
            exact_on_integers=False,
        ),
        Operation(
            f"{name}_backward",
            ("dx",),
            cases,
            lambda case, rng, values: _draw(case, rng, values, backward=True, groups=not within),
            terms=lambda a: 2 * neighbours(a) + FUNCTION_ROUNDINGS,
            scale=backward_scale,
            exact_on_integers=False,
        ),
    )


OPERATIONS = (*_operation("lrn", ACROSS, within=False), *_operation("lrn_within_channel", WITHIN, within=True))
