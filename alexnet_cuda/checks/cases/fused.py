"""Cases of gradients together, and of gradients with their update behind them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...ops.arrays import BFLOAT16
from ..table import Arguments, Operation, absolute, sample
from .conv import ConvCase
from .sgd import is_exact, step_state, update_scale


@dataclass(frozen=True)
class UpdateRates:
    """lr_scale and ok are those of `UpdateCase`. By default no product of a small integer is rounded."""

    lr: float = 0.25
    momentum: float = 0.5
    weight_decay: float = 0.125
    lr_scale: float | None = None
    ok: bool = True

    def arguments(self, shape: tuple[int, ...]) -> dict[str, Any]:
        return {
            "lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay,
            "state": step_state(self.lr_scale, self.ok), "w_bf16": np.zeros(shape, BFLOAT16),
        }  # fmt: skip


AS_IN_2012 = UpdateRates(0.01, 0.9, 0.0005)
SCALED = UpdateRates(lr_scale=0.125)
NOT_FINITE = UpdateRates(lr_scale=1.0, ok=False)
FROZEN = UpdateRates(lr=0.0)


@dataclass(frozen=True)
class ConvUpdateCase(ConvCase):
    """A convolution's parameters; a bias learns twice as fast and has half the decay."""

    rates: UpdateRates = UpdateRates()


# Batches of a multiple of 8 images are what the tensor cores take.
CONVOLUTIONS = (
    ConvUpdateCase("one of everything", (1, 1, 1, 1), (1, 1, 1, 1)),
    ConvUpdateCase("primes", (7, 13, 11, 17), (7, 5, 3, 19), stride=2, pad=(2, 1), rates=AS_IN_2012),
    ConvUpdateCase("batch of 8", (3, 5, 6, 8), (3, 3, 3, 4), pad=1),
    ConvUpdateCase("batch of 9", (3, 5, 6, 9), (3, 3, 3, 4), pad=1),
    ConvUpdateCase("batch of 128", (4, 3, 5, 128), (4, 3, 3, 33), pad=1, rates=AS_IN_2012),
    ConvUpdateCase("rate scaled by the state", (5, 4, 3, 8), (5, 1, 1, 7), rates=SCALED),
    ConvUpdateCase("loss not finite", (5, 4, 3, 16), (5, 3, 3, 9), pad=1, rates=NOT_FINITE),
    ConvUpdateCase("frozen", (5, 4, 3, 8), (5, 3, 3, 9), pad=1, rates=FROZEN),
    ConvUpdateCase("5x5 two groups", (8, 9, 9, 24), (4, 5, 5, 12), pad=2, groups=2, rates=AS_IN_2012),
    ConvUpdateCase("one pixel, two groups", (12, 1, 1, 16), (6, 1, 1, 10), groups=2),
    ConvUpdateCase("11x11 stride 4", (3, 31, 27, 8), (3, 11, 11, 13), stride=4, ceil_mode=True),
    ConvUpdateCase("stride and pad pairs", (2, 11, 13, 8), (2, 4, 3, 5), stride=(2, 3), pad=(1, 2), rates=AS_IN_2012),
    ConvUpdateCase("same, even filter", (2, 6, 5, 8), (2, 4, 2, 3), pad="same"),
    ConvUpdateCase("taps that only ever see padding", (2, 1, 2, 8), (2, 3, 3, 2), pad=1),
    ConvUpdateCase("no tap sees all outputs", (200, 3, 2, 8), (200, 2, 2, 20), pad=1),
    ConvUpdateCase("many filters and channels", (65, 4, 4, 8), (65, 3, 3, 130), pad=1, rates=AS_IN_2012),
    ConvUpdateCase("alexnet_2012 conv5", (384, 13, 13, 2), (192, 3, 3, 256), pad=1, groups=2, rates=AS_IN_2012),
)


@dataclass(frozen=True)
class GemmUpdateCase:
    """A fully connected layer's weights [inputs, outputs]."""

    name: str
    inputs: int
    outputs: int
    images: int
    rates: UpdateRates = UpdateRates()


PRODUCTS = (
    GemmUpdateCase("one of everything", 1, 1, 1),
    GemmUpdateCase("primes", 131, 37, 17, AS_IN_2012),
    GemmUpdateCase("eights", 8, 8, 8),
    GemmUpdateCase("ten classes", 64, 10, 128, AS_IN_2012),
    GemmUpdateCase("one tile", 64, 256, 64),
    GemmUpdateCase("one tile and a bit", 72, 264, 72, AS_IN_2012),
    GemmUpdateCase("several tiles", 200, 520, 128, AS_IN_2012),
    GemmUpdateCase("sums in parts", 64, 64, 2048),
    GemmUpdateCase("rate scaled by the state", 33, 16, 24, SCALED),
    GemmUpdateCase("loss not finite", 33, 16, 24, NOT_FINITE),
    GemmUpdateCase("frozen", 33, 16, 24, FROZEN),
    *(GemmUpdateCase(f"batch of {n}", 20, 24, n) for n in (2, 127, 128, 129)),
    GemmUpdateCase("alexnet_2012 fc8", 4096, 1000, 3, AS_IN_2012),
)


def _draw_gradients(case: ConvCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(
        values={"x": sample(rng, case.x, values), "dy": sample(rng, case.y, values)},
        fixed={**case.window_parameters, "w_shape": case.w},
    )


def _draw_conv2d(case: ConvUpdateCase, rng: np.random.Generator, values: str) -> Arguments:
    shapes = {"w": case.w, "v": case.w, "b": case.w[3:], "b_v": case.w[3:]}
    rates = case.rates.arguments(case.w)
    bias = {"b_lr": 2 * rates["lr"], "b_weight_decay": rates["weight_decay"] / 2}
    return Arguments(
        values={"x": sample(rng, case.x, values), "dy": sample(rng, case.y, values)},
        sums={name: sample(rng, shape, values) for name, shape in shapes.items()},
        fixed={**case.window_parameters, **rates, **bias},
    )


def _draw_gemm(case: GemmUpdateCase, rng: np.random.Generator, values: str) -> Arguments:
    shape = (case.inputs, case.outputs)
    return Arguments(
        values={
            "x": sample(rng, (case.inputs, case.images), values),
            "dy": sample(rng, (case.outputs, case.images), values),
        },
        sums={name: sample(rng, shape, values) for name in ("w", "v")},
        fixed=case.rates.arguments(shape),
    )


def _scale_conv2d(a: dict[str, Any]) -> tuple[np.ndarray, ...]:
    where = {name: a[name] for name in ("stride", "pad", "groups", "ceil_mode")}
    dw, db = ops.conv2d_wgrad_db(np.abs(a["x"]), np.abs(a["dy"]), a["w"].shape, **where)
    common = {"momentum": a["momentum"], "state": a["state"]}
    bias_rates = {"lr": a["b_lr"], "weight_decay": a["b_weight_decay"]}
    b, b_v, _ = update_scale(a["b"], a["b_v"], db, **common, **bias_rates)
    return (*update_scale(a["w"], a["v"], dw, **common, lr=a["lr"], weight_decay=a["weight_decay"]), b, b_v)


def _scale_gemm(a: dict[str, Any]) -> tuple[np.ndarray, ...]:
    rates = {name: a[name] for name in ("lr", "momentum", "weight_decay", "state")}
    return update_scale(a["w"], a["v"], ops.gemm(np.abs(a["x"]), np.abs(a["dy"]), trans_b=True), **rates)


OPERATIONS = (
    Operation(
        "conv2d_wgrad_db",
        ("dw", "db"),
        CONVOLUTIONS,
        _draw_gradients,
        terms=lambda a: a["dy"][0].size,
        scale=lambda a: ops.conv2d_wgrad_db(**absolute(a, "x", "dy")),
        sums=("dw", "db"),
        tensor_cores=True,
    ),
    Operation(
        "conv2d_wgrad_sgd",
        ("w", "v", "w_bf16", "b", "b_v"),
        CONVOLUTIONS,
        _draw_conv2d,
        terms=lambda a: a["dy"][0].size + 4,  # the products of a sum, then those of the update
        scale=_scale_conv2d,
        exact_on_integers=is_exact,
        sums=("w", "v", "b", "b_v"),
        in_place=("w", "v", "w_bf16", "b", "b_v"),
        tensor_cores=True,
    ),
    Operation(
        "gemm_sgd",
        ("w", "v", "w_bf16"),
        PRODUCTS,
        _draw_gemm,
        terms=lambda a: a["x"].shape[1] + 4,
        scale=_scale_gemm,
        exact_on_integers=is_exact,
        sums=("w", "v"),
        in_place=("w", "v", "w_bf16"),
        tensor_cores=True,
    ),
)
