"""The Hopper kernels in every order of threads and blocks: right in one, and the same bits in the others. And NaN."""

import numpy as np
import pytest
from kernels.hopper import as_bf16
from kernels.hopper_cases import CASES, Backward, Conv, Forward, Layer, Operands

from alexnet_cuda.ops.arrays import FLOAT32

ORDERS = (("reverse", "1"), ("random:1", "1"), ("random:2", "2"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_order_gives_the_same_bits(case, monkeypatch):
    """Those of integers are judged too: rounding hides no lost or doubled product."""
    for values in case.values:
        first = case.results(values)
        case.judge(values, first)
    for order, threads in ORDERS:
        monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
        monkeypatch.setenv("ALEXNET_THREADS", threads)
        again = case.results("normal")
        assert [array.tobytes() for array in again] == [array.tobytes() for array in first], (order, threads)


# 24 channels and filters a group; rows and columns of AlexNet's tiles. The first have staging for half of a tile.
SEEN = (
    *((way, (192, 256, 64, 2), 3) for way in (Forward, Backward)),
    *((way, (128, 256, 16, 4), 5) for way in (Forward, Backward)),
    (Backward, (64, 512, 16, 4), 5),
)


@pytest.mark.parametrize("way, tile, size", SEEN)
def test_nan_reaches_the_results_that_see_it_and_no_other(way, tile, size):
    """One in each operand, bias and mask, at a place that no tap of padding meets; what is compared is where NaN is."""
    conv = Conv((48, 3, 6, 136), (24, size, size, 48), pad=size // 2, groups=2, tile=tile, blocks=2)
    operands = Operands.of(conv, "integers")
    operands.relu_y[40, 0, 5, 135] = np.nan  # the gradient goes through: NaN is neither 0 nor negative
    operands.x[30, 1, 5, 130] = operands.dy[30, 1, 5, 130] = np.nan
    operands.b[7] = operands.w[5, size // 2, size // 2, 20] = np.nan
    got, want = way.run(conv, operands), way.expected(conv, operands)
    np.testing.assert_array_equal(got.astype(np.float64), as_bf16(want.astype(FLOAT32)))
    assert np.isnan(want).any() and np.isfinite(want).any()


@pytest.mark.parametrize("way", (Forward, Backward), ids=("fprop", "dgrad"))
@pytest.mark.parametrize("positions", (1, 4))
def test_a_weight_that_is_nan_reaches_what_has_a_pixel_under_it(way, positions):
    """At a corner of the filter, which some windows hold over padding: conv.h says that those may skip it."""
    conv = Conv((24, 3, 6, 64), (24, 3, 3, 24), pad=1, tile=(128, 256, 64, positions))
    operands = Operands.of(conv, "integers")
    operands.relu_y[...] = 1
    ones = Operands(*(np.ones_like(array) for array in vars(operands).values()))
    ones.b[...] = ones.w[...] = 0
    ones.w[5, 0, 2, 7] = 1
    operands.w[5, 0, 2, 7] = np.nan
    wrong = np.isnan(way.run(conv, operands).astype(FLOAT32))
    assert wrong[way.expected(conv, ones) != 0].all()
    assert not np.delete(wrong, 7 if way is Forward else 5, axis=0).any()


@pytest.mark.parametrize("name, row, column", (("x", 70, slice(None)), ("dy", slice(None), 261)))
def test_nan_reaches_the_weights_that_it_updates_and_no_other(name, row, column):
    layer = Layer(72, 264, 72)
    getattr(layer, name)[row if name == "x" else column, 71] = np.nan
    layer.update_in_one_pass(blocks=1)
    for guarded in (layer.w, layer.v, layer.copy):
        wrong = np.isnan(guarded.array.astype(FLOAT32))
        assert wrong[row, column].all()
        wrong[row, column] = False
        assert not wrong.any()
