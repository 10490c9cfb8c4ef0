"""Small cases of the Hopper kernels: one at least for every instance of the pipeline, with several tiles for a block.

closer_run.py runs them in the builds that look closer, test_hopper_orders.py in every order of threads. A block
has several tiles, so that the ring goes round across them and staging is used again; sums are cut into parts; most
sizes fill no tile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import kernels.test_hopper_first_layer as first
import kernels.test_hopper_gemm as gemm
import numpy as np
from kernels import hopper_wgrad as wgrad
from kernels.hopper import BOTH
from kernels.hopper_conv import Backward, Conv, Forward, Operands
from kernels.test_hopper_gemm_sgd import Layer

from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32


class Case(Protocol):
    """One call. values: those of BOTH that it knows; results: arrays; judge: AssertionError where they are wrong."""

    @property
    def values(self) -> tuple[str, ...]: ...
    def results(self, values: str) -> list[np.ndarray]: ...
    def judge(self, values: str, results: list[np.ndarray]) -> None: ...


def judge(values: str, got: np.ndarray, want: np.ndarray, bound: Any) -> None:
    """Integers exactly, after the rounding to got's dtype; others within bound()."""
    if values == "integers":
        np.testing.assert_array_equal(got, want.astype(FLOAT32).astype(got.dtype))
    else:
        comparison = compare(got, want, bound())
        assert comparison.passed, comparison.message


@dataclass(frozen=True)
class Convolution:
    """Forward or to the input, with bias and ReLU or the mask."""

    way: Any
    conv: Conv
    values: tuple[str, ...] = BOTH

    def __str__(self):
        return f"{self.way.name} {self.conv}"

    def results(self, values):
        return [self.way.run(self.conv, Operands.of(self.conv, values))]

    def judge(self, values, results):
        operands = Operands.of(self.conv, values)
        want = self.way.expected(self.conv, operands)
        judge(values, results[0], want, lambda: self.way.bound(self.conv, operands, results[0]))


@dataclass(frozen=True)
class FirstLayer:
    layer: first.Layer
    values: tuple[str, ...] = BOTH

    def __str__(self):
        return str(self.layer)

    def results(self, values):
        return [first.run(self.layer, first.Arrays.of(self.layer, values))]

    def judge(self, values, results):
        arrays = first.Arrays.of(self.layer, values)
        want = first.reference(self.layer, arrays.x, arrays.w, arrays.b)
        judge(values, results[0], want, lambda: first.bound(self.layer, arrays, results[0]))


@dataclass(frozen=True)
class Product:
    product: gemm.Product
    trans_a: bool
    trans_b: bool
    values: tuple[str, ...] = BOTH

    def __str__(self):
        return f"{self.product} {self.trans_a} {self.trans_b}"

    def results(self, values):
        return [gemm.run(self.product, gemm.Operands.of(self.product, values), self.trans_a, self.trans_b)]

    def judge(self, values, results):
        operands = gemm.Operands.of(self.product, values)
        want = gemm.expected(self.product, operands)
        judge(values, results[0], want, lambda: gemm.bound(self.product, operands, results[0]))


@dataclass(frozen=True)
class ProductUpdate:
    """A fully connected layer's weights, updated where their gradient is made; the same bits as in two passes."""

    sizes: tuple[int, int, int]
    blocks: int
    values: tuple[str, ...] = ("normal",)

    def __str__(self):
        return f"update of {self.sizes} by {self.blocks} blocks"

    def results(self, values):
        layer = Layer(*self.sizes)
        layer.update_in_one_pass(blocks=self.blocks)
        return [guarded.array for guarded in (layer.w, layer.v, layer.copy)]

    def judge(self, values, results):
        layer = Layer(*self.sizes)
        layer.update_in_two()
        assert [array.tobytes() for array in results] == layer.bits()


@dataclass(frozen=True)
class Gradient:
    """Of filters and, where it comes along, of biases."""

    case: ConvCase
    multiprocessors: int = 1
    values: tuple[str, ...] = BOTH

    def __str__(self):
        return f"{self.case.name}: {wgrad.chosen(self.case, self.multiprocessors)}"

    def results(self, values):
        arrays = wgrad.operands(self.case, values)
        results = wgrad.run(self.case, *arrays, multiprocessors=self.multiprocessors)
        return [array for array in results if array is not None]

    def judge(self, values, results):
        want = wgrad.expected(self.case, values)
        for name, comparison in wgrad.comparisons(self.case, values, [*results, None][:2], want):
            assert comparison.passed, (name, comparison.message)


@dataclass(frozen=True)
class GradientUpdate:
    """Filters and biases, updated where their gradients are summed; the same bits as the operation's."""

    case: ConvCase
    multiprocessors: int = 1
    values: tuple[str, ...] = ("normal",)

    def __str__(self):
        return f"update, {self.case.name}: {wgrad.chosen(self.case, self.multiprocessors)}"

    def drawn(self):
        filters = wgrad.Weights.drawn(self.case.w, {"lr": 0.25, "momentum": 0.9, "weight_decay": 5e-4}, None)
        bias = wgrad.Weights.drawn(self.case.w[3:], {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.0}, None)
        return filters, bias

    def run(self, values, **arguments):
        arrays = wgrad.operands(self.case, values)
        return wgrad.run(self.case, *arrays, multiprocessors=self.multiprocessors, **arguments)

    def results(self, values):
        filters, bias = self.drawn()
        self.run(values, dw=False, db=False, filters=filters, bias=bias)
        return [array for weights in (filters, bias) for array in (weights.w, weights.v, weights.w_bf16)]

    def judge(self, values, results):
        want = [weights.updated(gradient) for weights, gradient in zip(self.drawn(), self.run(values), strict=True)]
        assert [array.tobytes() for array in results] == [bits for weights in want for bits in weights.bits()]


# Rows, columns, depth and positions of a tile, and blocks. Each block has several tiles.
CONVOLUTIONS = (
    (Forward, (192, 256, 64, 2), 1),
    (Forward, (128, 256, 64, 2), 1),
    (Forward, (128, 256, 48, 4), 2),
    (Forward, (64, 256, 64, 1), 2),
    (Forward, (128, 128, 64, 2), 1),
    (Backward, (192, 256, 64, 2), 1),
    (Backward, (128, 256, 64, 4), 1),
    (Backward, (64, 256, 64, 1), 2),
    (Backward, (128, 128, 64, 2), 1),
)
ROWS_OF_TAPS = (
    (Forward, (128, 256, 16, 4)),
    (Backward, (128, 256, 16, 4)),
    (Backward, (64, 512, 16, 4)),
)
# Filters, channels, rows and columns of the filter: 363 products have kernels of their own, for 64, 96 and 128 filters.
FIRST_LAYERS = ((96, 3, 11, 11), (40, 3, 11, 11), (120, 3, 11, 11), (40, 3, 3, 3), (97, 3, 5, 4))
# Columns of a tile, parts of K, and what c is.
PRODUCTS = ((128, 1, BFLOAT16), (256, 1, BFLOAT16))
SUMS = ((False, False, 256, 1, FLOAT32), (False, True, 128, 2, BFLOAT16), (True, False, 128, 2, FLOAT32))
# A case for each tile of a filter gradient, as in test_hopper_wgrad.py but in fewer steps, and multiprocessors: with
# two, a tile's sum is in two pieces where it keeps its size.
GRADIENTS = (
    (ConvCase("192 x 256", (256, 3, 2, 8), (256, 2, 2, 192)), 1),
    (ConvCase("256 x 192", (192, 2, 5, 8), (192, 1, 2, 256)), 1),
    (ConvCase("192 x 192", (192, 3, 2, 8), (192, 2, 2, 192)), 2),
    (ConvCase("128 x 256", (256, 3, 2, 8), (256, 2, 2, 128)), 1),
    (ConvCase("128 x 240", (48, 3, 2, 8), (48, 5, 5, 128), pad=2), 2),
    (ConvCase("128 x 192", (192, 3, 2, 8), (192, 2, 2, 128)), 1),
    (ConvCase("64 x 256", (70, 4, 3, 8), (70, 4, 2, 24), pad="same"), 2),
    (ConvCase("64 x 128", (20, 6, 4, 72), (20, 3, 2, 40), pad=(1, 0)), 2),
    (ConvCase("96 x 384", (3, 23, 19, 8), (3, 11, 11, 96), stride=4), 2),
)
UPDATES = (
    ConvCase("boxes of rows", (20, 4, 5, 72), (20, 3, 3, 72), pad=1),
    ConvCase("two groups", (96, 3, 2, 8), (48, 3, 3, 72), pad=1, groups=2),
    ConvCase("first layer", (3, 15, 15, 8), (3, 11, 11, 96), stride=4),
)


def all_cases() -> Iterator[Case]:
    for way, tile, blocks in CONVOLUTIONS:
        rows, depth = tile[0] + 8, 40  # two tiles of rows; the last channels of a step are zeros
        filters, channels = (rows, depth) if way is Forward else (depth, rows)
        conv = Conv((channels, 2, 3, 72), (channels, 2, 2, filters), pad=1, tile=tile, blocks=blocks)
        yield Convolution(way, conv)
    for way, tile in ROWS_OF_TAPS:
        yield Convolution(way, Conv((48, 2, 5, 72), (24, 5, 5, 48), pad=2, groups=2, tile=tile, blocks=1))
    for K, C, R, S in FIRST_LAYERS:
        stride = 4 if R == 11 else 2
        layer = first.Layer(C, R + 4, S + 4, 72, K, R, S, stride=stride, pad=1, relu=True, blocks=1)
        yield FirstLayer(layer)
    orders = [(a, b) for a in (False, True) for b in (False, True)]
    for trans_a, trans_b, *cut in (*((*order, *cut) for order in orders for cut in PRODUCTS), *SUMS):
        columns, splits, dtype = cut
        sizes = (136, columns + 8, 136 if splits == 1 else 328)
        product = gemm.Product(*sizes, columns, splits, blocks=1, bias=True, relu=True, dtype=dtype)
        yield Product(product, trans_a, trans_b)
    yield ProductUpdate((200, 264, 72), 1)
    yield ProductUpdate((136, 520, 192), 2)  # a tile has fewer steps than the ring stages, or nearly as many
    for case, multiprocessors in GRADIENTS:
        yield Gradient(case, multiprocessors)
    for case in UPDATES:
        yield GradientUpdate(case)


CASES = tuple(all_cases())
