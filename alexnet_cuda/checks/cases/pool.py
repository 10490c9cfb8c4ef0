"""Cases of maximum, minimum and average pooling."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...ops import geometry
from ...ops.parameters import IntOrPair, pair
from ..table import Arguments, Operation, absolute, sample


@dataclass(frozen=True)
class PoolCase:
    """x is (C, H, W, N); 3/2 windows, as the paper pools, by default."""

    name: str
    x: tuple[int, int, int, int]
    size: IntOrPair = 3
    stride: IntOrPair = 2
    pad: IntOrPair | str = 0
    ceil_mode: bool = False

    @property
    def window_parameters(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride, "pad": self.pad, "ceil_mode": self.ceil_mode}

    @property
    def y(self) -> tuple[int, int, int, int]:
        size = pair("max_pool", "size", self.size, minimum=1)
        where = geometry.windows("max_pool", self.x[1:3], size, self.stride, self.pad, self.ceil_mode)
        return (self.x[0], *where.outputs, self.x[3])


SHAPES = (
    PoolCase("one of everything", (1, 1, 1, 1), size=1, stride=1),
    PoolCase("window as large as the image", (3, 4, 6, 2), size=(4, 6), stride=1),
    PoolCase("no overlap", (3, 6, 8, 3), size=2),
    PoolCase("overlap by 2", (2, 7, 6, 3), size=3, stride=1),
    PoolCase("gaps between windows", (2, 9, 8, 3), size=2, stride=3),
    PoolCase("rectangular windows and strides", (3, 9, 11, 2), size=(2, 3), stride=(3, 2)),
    PoolCase("pad 1", (3, 7, 7, 2), pad=1),
    PoolCase("pad pairs", (2, 6, 9, 3), size=(3, 4), pad=(1, 2)),
    PoolCase("ceil mode, windows past the edge", (3, 8, 6, 3), ceil_mode=True),
    PoolCase("ceil mode with pad", (2, 8, 7, 2), size=3, stride=2, pad=1, ceil_mode=True),
    PoolCase("same", (2, 7, 8, 3), pad="same"),
    PoolCase("same, even window", (2, 6, 5, 2), size=2, stride=1, pad="same"),
    PoolCase("17x17 windows: 16-bit positions", (2, 35, 34, 2), size=17, stride=16),
    PoolCase("primes", (7, 13, 11, 17), size=5, stride=3, ceil_mode=True),
    *(PoolCase(f"batch of {n}", (3, 7, 7, n)) for n in (1, 2, 15, 16, 17, 31, 32, 33, 127, 128, 129, 257)),
)
CASES = (
    *SHAPES,
    PoolCase("alexnet_2012 pool1", (96, 55, 55, 2), ceil_mode=True),
    PoolCase("alexnet_2012 pool2", (256, 27, 27, 3), ceil_mode=True),
    PoolCase("alexnet_2012 pool5", (256, 13, 13, 3), ceil_mode=True),
    PoolCase("alexnet_mini pool1", (32, 32, 32, 3), ceil_mode=True),
    PoolCase("vgg16 pool5", (512, 14, 14, 1), size=2),
)


def _draw(case: PoolCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(values={"x": sample(rng, case.x, values)}, fixed=case.window_parameters)


def _draw_max_backward(case: PoolCase, rng: np.random.Generator, values: str) -> Arguments:
    """arg comes from the reference, on a drawn x: only positions that are pixels may occur."""
    with ops.backend("reference"):
        _, arg = ops.max_pool(sample(rng, case.x, values), **case.window_parameters)
    arrays = {"dy": sample(rng, case.y, values)}
    return Arguments(values=arrays, fixed={**case.window_parameters, "arg": arg, "x_shape": case.x})


def _draw_avg_backward(case: PoolCase, rng: np.random.Generator, values: str) -> Arguments:
    arrays = {"dy": sample(rng, case.y, values)}
    return Arguments(values=arrays, fixed={**case.window_parameters, "x_shape": case.x})


def _window(a: dict[str, Any]) -> int:
    """Positions of a window, an upper limit of the windows that share a pixel too."""
    return int(np.prod(pair("check", "size", a["size"], minimum=1)))


OPERATIONS = (
    Operation("max_pool", ("y", "arg"), CASES, _draw, terms=_window, scale=lambda a: (0, 0)),
    Operation("min_pool", ("y", "arg"), SHAPES, _draw, terms=_window, scale=lambda a: (0, 0)),
    Operation(
        "max_pool_backward",
        ("dx",),
        CASES,
        _draw_max_backward,
        terms=_window,
        scale=lambda a: ops.max_pool_backward(**absolute(a, "dy")),
    ),
    Operation(
        "avg_pool",
        ("y",),
        CASES,
        _draw,
        terms=_window,
        scale=lambda a: ops.avg_pool(**absolute(a, "x")),
        exact_on_integers=False,
    ),
    Operation(
        "avg_pool_backward",
        ("dx",),
        CASES,
        _draw_avg_backward,
        terms=lambda a: _window(a) + 1,
        scale=lambda a: ops.avg_pool_backward(**absolute(a, "dy")),
        exact_on_integers=False,
    ),
    Operation(
        "global_avg_pool",
        ("y",),
        SHAPES,
        lambda case, rng, values: Arguments(values={"x": sample(rng, case.x, values)}),
        terms=lambda a: a["x"].shape[1] * a["x"].shape[2],
        scale=lambda a: ops.global_avg_pool(np.abs(a["x"])),
        exact_on_integers=False,
    ),
)
