"""The filter gradient on Hopper's matrix units: every tile size, edge, cut and update."""

from dataclasses import replace

import numpy as np
import pytest
from kernels.hopper import BOTH, emulated
from kernels.hopper_wgrad import (
    FEW,
    H200,
    Weights,
    assert_right,
    chosen,
    comparisons,
    expected,
    gives_db,
    operands,
    run,
    shapes,
    tile_of,
    wide,
)
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks.cases.conv import ConvCase

# A case for each tile size, by its filters and inputs.
TILES = {
    (192, 256): ConvCase("half of conv3's filters", (256, 4, 3, 8), (256, 2, 2, 192)),
    (256, 192): ConvCase("256 filters", (192, 4, 5, 8), (192, 1, 2, 256)),
    (192, 192): ConvCase("a group of conv4", (192, 4, 3, 8), (192, 2, 2, 192)),
    (128, 256): ConvCase("256 channels", (256, 4, 3, 8), (256, 2, 2, 128)),
    (128, 240): ConvCase("a group of conv2", (48, 3, 2, 8), (48, 5, 5, 128), pad=2),
    (128, 192): ConvCase("a group of conv5", (192, 4, 3, 8), (192, 2, 2, 128)),
    (64, 256): ConvCase("two taps of 70 channels", (70, 6, 5, 8), (70, 4, 2, 24), pad="same"),
    (64, 128): ConvCase("a small net's", (20, 9, 6, 16), (20, 3, 2, 40), pad=(1, 0)),
    (96, 384): ConvCase("conv1", (3, 23, 19, 8), (3, 11, 11, 96), stride=4),
}


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("tile, case", TILES.items(), ids=str)
def test_every_tile(tile, case, values, machine):
    assert gives_db(case, 1)
    for multiprocessors in (1, 2):  # all pieces in one block; a tile in two
        assert tile_of(chosen(case, multiprocessors)) == tile
        assert_right(case, values, multiprocessors=multiprocessors, machine=machine)


EDGES = (
    ConvCase("one of everything", (1, 1, 1, 8), (1, 1, 1, 1)),
    ConvCase("1x1 filter", (5, 4, 3, 8), (5, 1, 1, 7)),
    ConvCase("one filter more than a tile, one channel more than a box", (193, 3, 2, 8), (193, 2, 2, 129)),
    ConvCase("one filter less, one channel less", (191, 3, 2, 8), (191, 2, 2, 127)),
    ConvCase("rectangular", (20, 9, 6, 16), (20, 3, 2, 40), pad=(1, 0)),
    ConvCase("filter as large as the image", (5, 5, 7, 8), (5, 5, 7, 12)),
    ConvCase("stride and pad pairs", (18, 11, 13, 8), (18, 4, 3, 24), stride=(2, 3), pad=(1, 2)),
    ConvCase("stride larger than the filter", (9, 11, 8, 16), (9, 2, 1, 40), stride=(4, 3)),
    ConvCase("pad of filter - 1", (34, 4, 5, 8), (34, 3, 4, 24), pad=(2, 3)),
    ConvCase("taps that only ever see padding", (40, 1, 2, 16), (40, 3, 3, 24), pad=1),
    ConvCase("ceil mode, windows past the edge", (10, 8, 7, 8), (10, 3, 2, 24), stride=(2, 3), ceil_mode=True),
    ConvCase("same, even filter", (70, 6, 5, 8), (70, 4, 2, 24), pad="same"),
    ConvCase("three groups", (60, 5, 5, 8), (20, 3, 3, 36), pad=1, groups=3),
    ConvCase("one channel a group", (7, 5, 4, 8), (1, 3, 3, 14), pad=1, groups=7),
    ConvCase("primes", (37, 7, 11, 24), (37, 5, 3, 19), stride=2, pad=(2, 1)),
    ConvCase("first layer with more filters than a tile", (3, 19, 19, 8), (3, 11, 11, 130), stride=4, pad=2),
    ConvCase("first layer that fills its tile", (6, 12, 12, 8), (6, 8, 8, 96), stride=4),
)
BATCHES = tuple(
    ConvCase(f"batch of {n}, {groups} groups", (20 * groups, 4, 3, n), (20, 3, 3, 24 * groups), pad=1, groups=groups)
    for n in (8, 56, 64, 72, 128, 136, 200)
    for groups in (1, 2)
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("case", EDGES + BATCHES, ids=lambda case: case.name)
def test_edges(case, values, machine):
    for multiprocessors in (FEW, H200):
        assert_right(case, values, multiprocessors=multiprocessors, machine=machine)


# AlexNet's layers at 1024 images, and with smaller images and batches: x and y alone.
LAYERS = (
    (ConvCase("conv1", (3, 224, 224, 1024), (3, 11, 11, 96), stride=4, ceil_mode=True), (3, 19, 23, 72)),
    (ConvCase("conv2", (96, 27, 27, 1024), (48, 5, 5, 256), pad=2, groups=2), (96, 4, 3, 8)),
    (ConvCase("conv3", (256, 13, 13, 1024), (256, 3, 3, 384), pad=1), (256, 2, 3, 8)),
    (ConvCase("conv4", (384, 13, 13, 1024), (192, 3, 3, 384), pad=1, groups=2), (384, 2, 3, 8)),
    (ConvCase("conv5", (384, 13, 13, 1024), (192, 3, 3, 256), pad=1, groups=2), (384, 3, 2, 8)),
    (ConvCase("textbook conv5", (384, 13, 13, 1024), (384, 3, 3, 256), pad=1), (384, 3, 2, 8)),
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("layer, x", LAYERS, ids=lambda value: getattr(value, "name", ""))
def test_layers_of_alexnet(layer, x, values, machine):
    case = replace(layer, x=x)
    assert chosen(case, 1).rpartition(",")[0] == chosen(layer, H200).rpartition(",")[0]  # all but the blocks
    assert gives_db(layer, H200)
    assert_right(case, values, multiprocessors=1, machine=machine)


SMALL = (
    ConvCase("boxes of rows", (20, 4, 5, 72), (20, 3, 3, 72), pad=1),
    ConvCase("two groups", (96, 4, 3, 8), (48, 3, 3, 72), pad=1, groups=2),
    ConvCase("first layer", (3, 15, 15, 72), (3, 11, 11, 96), stride=4),
)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
class TestSmall:
    def test_any_number_of_blocks(self, case, machine):
        for multiprocessors in (1, 2, 5, 7, 31):
            assert_right(case, "integers", multiprocessors=multiprocessors, machine=machine)

    def test_any_order_gives_the_same_bits(self, case, monkeypatch):
        def bits(order):
            monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
            return [array.tobytes() for array in run(case, *operands(case, "normal"), multiprocessors=3)]

        first = bits("forward")
        for order in ("forward", "reverse", "random:1", "random:2"):
            assert bits(order) == first, order

    def test_the_bound_sees_a_lost_image(self, case):
        x, dy = operands(case, "normal")
        got = run(case, x, dy)
        with ops.backend("reference"):
            wx, wdy = wide(x, dy)
            wx[..., -1] = 0
            less = ops.conv2d_wgrad(wx, wdy, case.w, **case.window_parameters)
        _, scales = expected(case, "normal")
        want = ((less, wdy.sum(axis=(1, 2, 3))), scales)
        assert not dict(comparisons(case, "normal", got, want))["dw"].passed

    @pytest.mark.parametrize("ok", (1, 0))
    def test_an_update_is_that_of_the_operation(self, case, ok):
        state = ops.step_state(7, 0.5)
        state[1] = ok
        x, dy = operands(case, "normal")
        dw, db = run(case, x, dy)
        filters = Weights.drawn(case.w, {"lr": 0.25, "momentum": 0.9, "weight_decay": 5e-4}, state)
        bias = Weights.drawn(case.w[3:], {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.0}, state)
        before = filters.bits() + bias.bits()
        want = filters.updated(dw).bits() + bias.updated(db).bits()
        assert run(case, x, dy, dw=False, db=False, filters=filters, bias=bias) == [None, None]
        assert filters.bits() + bias.bits() == want
        assert (want == before) == (ok == 0)

    def test_an_update_without_a_copy_and_state_writes_dw_too(self, case):
        x, dy = operands(case, "integers")
        filters = Weights.drawn(case.w, {"lr": 0.25, "momentum": 0.9, "weight_decay": 5e-4}, None)
        (dw, _), before = run(case, x, dy), filters.w_bf16.copy()
        want = filters.updated(dw)
        pointers, rates = filters.for_kernel()
        filters.for_kernel = lambda: ((*pointers[:2], 0), rates)
        again, _ = run(case, x, dy, filters=filters)
        assert again.tobytes() == dw.tobytes()
        assert filters.bits()[:2] == want.bits()[:2] and (filters.w_bf16 == before).all()

    def test_nan_in_dy_reaches_its_filter_alone(self, case, machine):
        x, dy = (array.copy() for array in operands(case, "integers"))
        dy[5, 1, 1, 3] = np.nan
        dw, db = run(case, x, dy, machine=machine)
        assert np.isnan(dw[:, 1, 1, 5]).all() and np.isnan(db[5])
        assert np.isfinite(np.delete(dw, 5, axis=3)).all() and np.isfinite(np.delete(db, 5)).all()

    def test_nan_in_x_reaches_its_channel_alone(self, case, machine):
        x, dy = (array.copy() for array in operands(case, "integers"))
        x[2, 1, 1, 3] = np.nan
        dw, db = run(case, x, dy, machine=machine)
        group = slice(0, case.w[3] // case.groups)
        assert np.isnan(dw[2, 1, 1, group]).all()
        dw[2, ..., group] = 0
        assert np.isfinite(dw).all() and np.isfinite(db).all()


class TestContract:
    case = ConvCase("small", (4, 3, 3, 8), (4, 2, 2, 8))

    def fits(self, case, aligned=True):
        return emulated.conv_wgrad_hopper_fits(*shapes(case), case.groups, aligned)

    def test_what_fits(self):
        assert self.fits(self.case)
        assert not self.fits(self.case, aligned=False)
        assert not self.fits(replace(self.case, x=(4, 3, 3, 12)))

    def test_what_does_not_is_refused(self):
        odd = replace(self.case, x=(4, 3, 3, 12))
        with pytest.raises(ValueError, match="N must be a multiple of 8"):
            run(odd, *operands(odd, "integers"))

    def test_db_where_no_tile_sees_all_of_dy(self):
        case = ConvCase("pad of filter - 1", (34, 4, 5, 8), (34, 3, 4, 24), pad=(2, 3))
        assert not gives_db(case, FEW)
        with pytest.raises(ValueError, match="use bias_grad"):
            run(case, *operands(case, "integers"), db=True)

    def test_an_update_wants_v(self):
        x, dy = operands(self.case, "integers")
        filters = Weights.drawn(self.case.w, {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}, None)
        pointers, rates = filters.for_kernel()
        filters.for_kernel = lambda: ((pointers[0], 0, 0), rates)
        with pytest.raises(ValueError, match="an update wants w and v"):
            run(self.case, x, dy, filters=filters)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "layer, text",
    [
        (layer, f"{text} taps, 132 blocks")
        for (layer, _), text in zip(
            LAYERS,
            (
                "1 tiles of 96 filters x 384 inputs, boxes of 3 channels at 11x11",
                "10 tiles of 128 filters x 240 inputs, boxes of 48 channels at 1x5",
                "18 tiles of 192 filters x 256 inputs, boxes of 256 channels at 1x1",
                "18 tiles of 192 filters x 192 inputs, boxes of 192 channels at 1x1",
                "18 tiles of 128 filters x 192 inputs, boxes of 192 channels at 1x1",
                "18 tiles of 256 filters x 192 inputs, boxes of 192 channels at 1x1",
            ),
            strict=True,
        )
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_launch_can_be_printed_without_a_gpu(module, layer, text):
    assert chosen(layer, module=module) == text
