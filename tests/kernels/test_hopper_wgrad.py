"""The filter gradient on Hopper's matrix units, through the emulator: every tile size, edge, cut and update."""

import re
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from kernels.hopper import BOTH, HERE, bf16_bound, emulated, guarded_output
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.guard import Guarded
from alexnet_cuda.checks.table import sample
from alexnet_cuda.ops import geometry
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

H200 = 132  # multiprocessors
FEW = 2  # so that small problems get the tiles of large ones
NO_UPDATE = ((0, 0, 0), (0, 0.0, 0.0, 0.0))


def shapes(case):
    return (case.x, case.w, case.y)


def windows(case):
    return geometry.windows("conv2d", case.x[1:3], case.w[1:3], case.stride, case.pad, case.ceil_mode)


def chosen(case, multiprocessors=H200, module=emulated):
    return module.choose_conv_wgrad_hopper(*shapes(case), case.groups, multiprocessors)


def tile_of(text):
    """(filters, inputs) of a choice."""
    filters, inputs = re.search(r"tiles of (\d+) filters x (\d+) inputs", text).groups()
    return int(filters), int(inputs)


def gives_db(case, multiprocessors):
    where = windows(case)
    return emulated.conv_wgrad_hopper_gives_db(*shapes(case), where.stride, where.pad, case.groups, multiprocessors)


@cache
def operands(case, values):
    """x and dy, in bfloat16."""
    rng = np.random.default_rng([*case.x, *case.w])
    return tuple(sample(rng, shape, values).astype(BFLOAT16) for shape in (case.x, case.y))


def wide(*arrays):
    return tuple(array.astype(np.float64) for array in arrays)


@cache
def expected(case, values):
    """dw and db in float64, and the same of absolute values."""
    x, dy = wide(*operands(case, values))
    with ops.backend("reference"):
        return [
            (ops.conv2d_wgrad(x, dy, case.w, **case.window_parameters), dy.sum(axis=(1, 2, 3)))
            for x, dy in ((x, dy), (np.abs(x), np.abs(dy)))
        ]


@dataclass
class Weights:
    """What an update changes: w and v float32, the copy in bfloat16, and the rates."""

    w: np.ndarray
    v: np.ndarray
    rates: dict
    state: np.ndarray | None = None
    w_bf16: np.ndarray = field(init=False)

    def __post_init__(self):
        self.w_bf16 = self.w.astype(BFLOAT16)

    @classmethod
    def drawn(cls, shape, rates, state):
        rng = np.random.default_rng(3)
        w, v = (rng.standard_normal(shape).astype(FLOAT32) for _ in range(2))
        return cls(w, v, rates, state)

    def for_kernel(self):
        pointers = tuple(array.ctypes.data for array in (self.w, self.v, self.w_bf16))
        rates = tuple(self.rates[name] for name in ("lr", "momentum", "weight_decay"))
        return pointers, (0 if self.state is None else self.state.ctypes.data, *rates)

    def updated(self, gradient):
        """A copy, updated by the operation."""
        other = Weights(self.w.copy(), self.v.copy(), self.rates, self.state)
        with ops.backend("emulated"):
            ops.sgd_momentum(other.w, other.v, gradient, **self.rates, w_bf16=other.w_bf16, state=self.state)
        return other

    def bits(self):
        return [array.tobytes() for array in (self.w, self.v, self.w_bf16)]


def run(case, x, dy, *, multiprocessors=FEW, db=None, dw=True, filters=None, bias=None):
    """dw and db. Both and the workspace begin as NaN, between canaries; db is asked for where it comes for nothing."""
    where = windows(case)
    db = gives_db(case, multiprocessors) if db is None else db
    arrays = [guarded_output(shape, FLOAT32) for shape in (case.w, case.w[3:])]
    count = emulated.conv_wgrad_hopper_workspace_bytes(*shapes(case), case.groups, multiprocessors) // 4
    workspace = guarded_output((count,), FLOAT32)
    inputs = [Guarded(array, 0) for array in (x, dy)]
    filter_update, bias_update = (NO_UPDATE if each is None else each.for_kernel() for each in (filters, bias))
    wanted = [guarded.array.ctypes.data if on else 0 for guarded, on in zip(arrays, (dw, db), strict=True)]
    emulated.conv_wgrad_hopper(
        *(guarded.array.ctypes.data for guarded in inputs), *wanted, filter_update[0], bias_update[0],
        filter_update[1], bias_update[1], *shapes(case), where.stride, where.pad, case.groups,
        workspace.array.ctypes.data, multiprocessors, HERE,
    )  # fmt: skip
    for guarded in (*arrays, *inputs, workspace):
        assert guarded.canaries_alive()
    for guarded, before in zip(inputs, (x, dy), strict=True):
        assert guarded.array.tobytes() == before.tobytes()
    return [guarded.array if on else None for guarded, on in zip(arrays, (dw, db), strict=True)]


def comparisons(case, values, got, want):
    (want_dw, want_db), (scale_dw, scale_db) = want
    terms = case.y[1] * case.y[2] * case.y[3]
    for name, result, right, scale in (("dw", got[0], want_dw, scale_dw), ("db", got[1], want_db, scale_db)):
        if result is not None:
            bound = bf16_bound(result, scale, terms) if values == "normal" else np.zeros(right.shape)
            yield name, compare(result, right, bound)


def assert_right(case, values, **arguments):
    got = run(case, *operands(case, values), **arguments)
    for name, comparison in comparisons(case, values, got, expected(case, values)):
        assert comparison.passed, (name, chosen(case, arguments.get("multiprocessors", FEW)), comparison.message)


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
def test_every_tile(tile, case, values):
    assert gives_db(case, 1)
    for multiprocessors in (1, 2):  # all pieces in one block; a tile in two
        assert tile_of(chosen(case, multiprocessors)) == tile
        assert_right(case, values, multiprocessors=multiprocessors)


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
def test_edges(case, values):
    for multiprocessors in (FEW, H200):
        assert_right(case, values, multiprocessors=multiprocessors)


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
def test_layers_of_alexnet(layer, x, values):
    case = replace(layer, x=x)
    assert chosen(case, 1).rpartition(",")[0] == chosen(layer, H200).rpartition(",")[0]  # all but the blocks
    assert gives_db(layer, H200)
    assert_right(case, values, multiprocessors=1)


SMALL = (
    ConvCase("boxes of rows", (20, 4, 5, 72), (20, 3, 3, 72), pad=1),
    ConvCase("two groups", (96, 4, 3, 8), (48, 3, 3, 72), pad=1, groups=2),
    ConvCase("first layer", (3, 15, 15, 72), (3, 11, 11, 96), stride=4),
)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
class TestSmall:
    def test_any_number_of_blocks(self, case):
        for multiprocessors in (1, 2, 5, 7, 31):
            assert_right(case, "integers", multiprocessors=multiprocessors)

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

    def test_nan_in_dy_reaches_its_filter_alone(self, case):
        x, dy = (array.copy() for array in operands(case, "integers"))
        dy[5, 1, 1, 3] = np.nan
        dw, db = run(case, x, dy)
        assert np.isnan(dw[:, 1, 1, 5]).all() and np.isnan(db[5])
        assert np.isfinite(np.delete(dw, 5, axis=3)).all() and np.isfinite(np.delete(db, 5)).all()

    def test_nan_in_x_reaches_its_channel_alone(self, case):
        x, dy = (array.copy() for array in operands(case, "integers"))
        x[2, 1, 1, 3] = np.nan
        dw, db = run(case, x, dy)
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
