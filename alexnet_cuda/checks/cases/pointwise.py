"""Cases of the operations that treat every element alone: any number of dimensions, any size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..table import FUNCTION_ROUNDINGS, Arguments, Operation, sample


@dataclass(frozen=True)
class ShapeCase:
    name: str
    shape: tuple[int, ...]


CASES = (
    ShapeCase("one element", (1,)),
    *(ShapeCase(f"{n} elements", (n,)) for n in (2, 3, 4, 5, 7, 31, 32, 33, 127, 255, 256, 257, 1023, 1025)),
    ShapeCase("three dimensions", (5, 7, 3)),
    ShapeCase("more than a grid of 2048 blocks of 256 float4", (3, 1_000_003)),
    ShapeCase("alexnet_2012 relu1", (96, 27, 27, 2)),
    ShapeCase("alexnet_2012 relu6", (4096, 3)),
)


@dataclass(frozen=True)
class ScaleCase:
    name: str
    shape: tuple[int, ...]
    factor: float = 0.5


SCALE_CASES = (
    *(ScaleCase(case.name, case.shape) for case in CASES),
    ScaleCase("by 0", (5, 7), 0.0),
    ScaleCase("by -3", (5, 7), -3.0),
    ScaleCase("by 0.8", (29, 31), 0.8),
    ScaleCase("by 2^-100", (33,), 2.0**-100),
)


def _draw(names: tuple[str, ...], make: Callable[..., np.ndarray]) -> Callable[..., Arguments]:
    def draw(case: ShapeCase, rng: np.random.Generator, values: str) -> Arguments:
        return Arguments(values={name: make(name, sample(rng, case.shape, values)) for name in names})

    return draw


def _draw_scale(case: ScaleCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(values={"x": sample(rng, case.shape, values)}, fixed={"factor": case.factor})


def _as_drawn(name: str, drawn: np.ndarray) -> np.ndarray:
    return drawn


def _squashed(name: str, drawn: np.ndarray) -> np.ndarray:
    """y in (-1, 1), where tanh's and sigmoid's results lie."""
    return np.tanh(drawn) if name == "y" else drawn


def _operation(
    name: str, arguments: tuple[str, ...], terms: float, scale: Callable[[dict[str, Any]], Any],
    make: Callable[..., np.ndarray] = _as_drawn, exact: bool = True,
) -> Operation:  # fmt: skip
    return Operation(name, ("out",), CASES, _draw(arguments, make), lambda a: terms, scale, exact_on_integers=exact)


OPERATIONS = (
    _operation("relu", ("x",), 1, lambda a: 0),
    _operation("relu_backward", ("dy", "y"), 1, lambda a: 0),
    _operation("add", ("a", "b"), 1, lambda a: np.abs(a["a"]) + np.abs(a["b"])),
    _operation("tanh", ("x",), 1 + FUNCTION_ROUNDINGS, lambda a: np.abs(np.tanh(a["x"])), exact=False),
    _operation("tanh_backward", ("dy", "y"), 3, lambda a: np.abs(a["dy"]) * (1 + a["y"] ** 2), _squashed, exact=False),
    _operation(
        "sigmoid",
        ("x",),
        2 + FUNCTION_ROUNDINGS,
        # exp turns the rounding of its argument, |x| units, into a relative error
        lambda a: (1 + np.abs(a["x"])) / (1 + np.exp(-a["x"])),
        exact=False,
    ),
    _operation(
        "sigmoid_backward",
        ("dy", "y"),
        3,
        lambda a: np.abs(a["dy"] * a["y"]) * (1 + np.abs(a["y"])),
        _squashed,
        exact=False,
    ),
    Operation(
        "scale",
        ("out",),
        SCALE_CASES,
        _draw_scale,
        terms=lambda a: 2,  # the factor, rounded to float32, and the product
        scale=lambda a: np.abs(a["factor"] * a["x"]),
        # 0.8 is a number that no float holds; the other factors have a digit or two
        exact_on_integers=lambda a: math.frexp(a["factor"])[0] * 4 % 1 == 0,
    ),
)
