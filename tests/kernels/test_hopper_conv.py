"""Convolution on Hopper's matrix units, forward and to the input, through the emulator: edges, windows
and strides. Tiles, layers and orders: test_hopper_tiles.py, test_hopper_layers.py, test_hopper_orders.py."""

from dataclasses import replace

import numpy as np
import pytest
from kernels.hopper import BOTH
from kernels.hopper_conv import Backward, Conv, Forward, Operands, assert_right, both_ways

from alexnet_cuda.checks.compare import compare


def rows_of_taps(way, *kernels):
    """The kernels whose steps are a row of five taps: other paddings, more groups, images of two blocks or parts."""
    for rows, columns, depth in kernels:
        for x, w, pad in (
            ((24, 4, 6, 128), (24, 5, 5, 24), 2),
            ((40, 3, 9, 72), (40, 5, 5, 40), 4),
            ((40, 3, 7, 192), (40, 1, 5, 40), 0),
            ((2 * (rows - 40), 3, 5, 136), (rows - 40, 3, 5, 2 * (rows + 8)), 1),
        ):
            case = Conv(x, w, pad=pad, groups=x[0] // w[0], tile=(rows, columns, depth, 4))
            yield pytest.param(way, case, id=f"{way.name} {case}")


ROWS_OF_TAPS = (
    *rows_of_taps(Forward, (128, 256, 16)),
    *rows_of_taps(Backward, (128, 256, 16), (64, 512, 16)),
)


@pytest.mark.parametrize("way, case", ROWS_OF_TAPS)
def test_steps_of_a_row_of_taps(way, case):
    assert_right(way, case, "integers")


SIZES = (8, 64, 72, 128, 136, 200, 256, 264)
EDGES = (
    *(Conv((size, 2, 3, 64), (size, 2, 2, 16), pad=1) for size in SIZES),
    *(Conv((16, 2, 3, 64), (16, 2, 2, size), pad=1) for size in SIZES),
    *(Conv((16, 2, 3, size), (16, 2, 2, 16), pad=1) for size in SIZES),
    Conv((7, 3, 4, 72), (7, 2, 3, 24), pad=1),  # channels that are no multiple of anything
)


@pytest.mark.parametrize("way, case", both_ways(EDGES))
def test_ragged_sizes(way, case):
    assert_right(way, case, "integers")


WINDOWS = (
    Conv((16, 1, 1, 64), (16, 1, 1, 16)),
    Conv((16, 7, 6, 64), (16, 5, 5, 16), pad=2),
    Conv((16, 7, 6, 64), (16, 5, 5, 16), pad=4),  # windows with one pixel
    Conv((16, 3, 3, 128), (16, 5, 5, 16), pad=3),  # no position sees all taps
    Conv((16, 6, 6, 64), (16, 6, 6, 16)),  # one position, as a fully connected layer
    Conv((16, 4, 9, 256), (16, 1, 4, 16), pad=0),
    Conv((144, 4, 4, 128), (72, 3, 3, 144), pad=1, groups=2),  # towers that end within a tile and a step
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("way, case", both_ways(WINDOWS))
def test_windows(way, case, values):
    """With bias and ReLU, or the mask; of integers without them too."""
    assert_right(way, case, values)
    if values == "integers":
        assert_right(way, case, values, plain=True)


STRIDES = (
    Conv((16, 9, 9, 64), (16, 3, 3, 16), pad=1, stride=2),
    Conv((16, 9, 9, 72), (16, 3, 3, 16), pad=1, stride=2, tile=(64, 256, 64, 2)),
    Conv((16, 11, 19, 128), (16, 5, 5, 16), pad=2, stride=4, tile=(128, 128, 64, 2)),
    Conv((16, 9, 33, 64), (16, 2, 2, 16), stride=8, tile=(64, 256, 64, 4)),
)


@pytest.mark.parametrize("case", STRIDES, ids=str)
def test_strides_forward(case):
    assert_right(Forward, case, "integers")


@pytest.mark.parametrize("way", (Forward, Backward), ids=("fprop", "dgrad"))
def test_the_bound_sees_a_lost_product(way):
    case = WINDOWS[-1]
    o = Operands.of(case, "normal")
    got = way.run(case, o)
    o.w[20, 1, 2, 100] = 0
    assert not compare(got, way.expected(case, o), way.bound(case, o, got)).passed


REPEATED = (
    Conv((72, 5, 6, 128), (72, 3, 3, 136), pad=1, tile=(128, 256, 64, 2)),
    Conv((200, 4, 5, 64), (200, 3, 3, 200), pad=1, tile=(192, 256, 64, 4)),  # staging for half of the columns
    Conv((72, 3, 9, 64), (72, 5, 5, 136), pad=2, tile=(128, 256, 16, 4)),
)


@pytest.mark.parametrize("way, case", both_ways(REPEATED))
def test_any_number_of_blocks_gives_the_same_bits(way, case):
    """One block for all tiles, or two: the ring goes round across tiles, and the staging is used again."""
    o = Operands.of(case, "normal")
    first = way.run(case, o).tobytes()
    for blocks in (1, 2, 7):
        assert way.run(replace(case, blocks=blocks), o).tobytes() == first


def test_nan_reaches_the_results_that_see_it_and_no_other():
    """Towers of 72 channels and filters: tiles and steps of one reach into the other's, and get zeros from there."""
    case = Conv((144, 5, 5, 64), (72, 3, 3, 144), pad=1, groups=2)
    o = Operands.of(case, "integers")
    o.x[72, 0, 0, 3] = o.dy[72, 0, 0, 3] = o.b[100] = o.w[5, 1, 1, 40] = np.nan
    for way in (Forward, Backward):
        got, want = way.run(case, o), way.expected(case, o)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        assert np.isnan(want).any() and np.isfinite(want).any()
