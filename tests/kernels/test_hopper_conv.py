"""Convolution on Hopper's matrix units, forward and to the input, through the emulator: every tile, edge and order."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from kernels.hopper import BOTH, HERE, as_bf16, bf16_bound, emulated, guarded_output

from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.table import sample
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

MULTIPROCESSORS = 132


@dataclass(frozen=True)
class Conv:
    """x [C, H, W, N] and w [C/groups, R, S, K]. tile: rows, columns, depth and positions, or what is chosen."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    pad: int = 0
    stride: int = 1
    groups: int = 1
    tile: tuple[int, int, int, int] | None = None
    blocks: int = MULTIPROCESSORS
    name: str = ""

    def __str__(self):
        tile = "" if self.tile is None else " in {}x{}x{}, {} positions".format(*self.tile)
        return f"{self.name}{self.x} {self.w} pad {self.pad} stride {self.stride} groups {self.groups}{tile}"

    @property
    def y(self):
        size = ((self.x[i] + 2 * self.pad - self.w[i]) // self.stride + 1 for i in (1, 2))
        return (self.w[3], *size, self.x[3])

    @property
    def shapes(self):
        return (self.x, self.w, self.y, (self.stride, self.stride), (self.pad, self.pad), self.groups)

    def windows(self):
        """For each group and tap: its channels, filters and tap, and what the tap sees of an x that has its padding."""
        last = [(size - 1) * self.stride + 1 for size in self.y[1:3]]
        for group in range(self.groups):
            c, k = (slice(group * n, (group + 1) * n) for n in (self.w[0], self.w[3] // self.groups))
            for r, s in np.ndindex(self.w[1:3]):
                yield (
                    k,
                    (slice(None), r, s, k),
                    (c, slice(r, r + last[0], self.stride), slice(s, s + last[1], self.stride)),
                )


def conv2d(case, x, w):
    """In float64: for each tap, one product of its filters and all pixels it sees."""
    edges = ((case.pad, case.pad),)
    x, y = np.pad(x, ((0, 0), *edges, *edges, (0, 0))), np.zeros(case.y)
    for k, tap, seen in case.windows():
        y[k] += np.tensordot(w[tap], x[seen], (0, 0))
    return y


def conv2d_dgrad(case, dy, w):
    dx = np.zeros((case.x[0], *(size + 2 * case.pad for size in case.x[1:3]), case.x[3]))
    for k, tap, seen in case.windows():
        dx[seen] += np.tensordot(w[tap], dy[k], (1, 0))
    return dx[:, case.pad : case.pad + case.x[1], case.pad : case.pad + case.x[2]]


@dataclass
class Operands:
    """float64 values that bfloat16 (b: float32) holds. relu_y has zeros of both signs."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    dy: np.ndarray
    relu_y: np.ndarray

    @classmethod
    def of(cls, case, values):
        rng = np.random.default_rng([*case.x, *case.w])
        x, w, dy, relu_y = (as_bf16(sample(rng, shape, values)) for shape in (case.x, case.w, case.y, case.x))
        relu_y[rng.random(case.x) < 0.3] = -0.0
        return cls(x, w, sample(rng, (case.w[3],), values).astype(FLOAT32).astype(np.float64), dy, relu_y)


class Forward:
    """y = relu(conv(x, w) + b)."""

    name = "fprop"

    @staticmethod
    def run(case, o, plain=False):
        x, w, b = o.x.astype(BFLOAT16), o.w.astype(BFLOAT16), o.b.astype(FLOAT32)
        y = guarded_output(case.y, BFLOAT16)
        emulated.conv_fprop_hopper(
            x.ctypes.data, w.ctypes.data, 0 if plain else b.ctypes.data, y.array.ctypes.data, *case.shapes, not plain,
            case.tile, case.blocks, HERE,
        )  # fmt: skip
        assert y.canaries_alive()
        return y.array

    @staticmethod
    def expected(case, o, plain=False):
        y = conv2d(case, o.x, o.w)
        return y if plain else np.maximum(y + o.b[:, None, None, None], 0)

    @staticmethod
    def bound(case, o, got):
        scale = conv2d(case, np.abs(o.x), np.abs(o.w)) + np.abs(o.b)[:, None, None, None]
        return bf16_bound(got, scale, np.prod(case.w[:3]) + 1)


class Backward:
    """dx, the gradient of x, with relu_y's mask."""

    name = "dgrad"

    @staticmethod
    def run(case, o, plain=False):
        dy, w, relu_y = o.dy.astype(BFLOAT16), o.w.astype(BFLOAT16), o.relu_y.astype(BFLOAT16)
        dx = guarded_output(case.x, BFLOAT16)
        emulated.conv_dgrad_hopper(
            dy.ctypes.data, w.ctypes.data, 0 if plain else relu_y.ctypes.data, dx.array.ctypes.data, *case.shapes,
            case.tile, case.blocks, HERE,
        )  # fmt: skip
        assert dx.canaries_alive()
        return dx.array

    @staticmethod
    def expected(case, o, plain=False):
        dx = conv2d_dgrad(case, o.dy, o.w)
        return dx if plain else np.where(o.relu_y <= 0, 0, dx)

    @staticmethod
    def bound(case, o, got):
        scale = conv2d_dgrad(case, np.abs(o.dy), np.abs(o.w))
        return bf16_bound(got, scale, np.prod(case.w[1:]) / case.groups)


def assert_right(way, case, values, plain=False):
    o = Operands.of(case, values)
    got, want = way.run(case, o, plain), way.expected(case, o, plain)
    if values == "integers":
        np.testing.assert_array_equal(got, want.astype(FLOAT32).astype(BFLOAT16))
    else:
        comparison = compare(got, want, way.bound(case, o, got))
        assert comparison.passed, comparison.message


def both_ways(cases):
    return [pytest.param(way, case, id=f"{way.name} {case}") for case in cases for way in (Forward, Backward)]


def tiles(way, *kernels):
    """Every kernel with every number of positions, on filters, channels and images that fill no tile."""
    for rows, columns, depth in kernels:
        for positions in (1, 2, 4):
            if positions <= columns // 64:
                images = 200 if positions == 2 else 192  # in boxes of 64 images, and of all
                filters, channels = (rows + 8, depth + 8) if way is Forward else (depth + 8, rows + 8)
                x, w = (channels, 3, 5, images), (channels, 3, 3, filters)
                case = Conv(x, w, pad=1, tile=(rows, columns, depth, positions))
                yield pytest.param(way, case, id=f"{way.name} {case}")


EVERY_TILE = (
    *tiles(Forward, (192, 256, 64), (128, 256, 64), (128, 256, 48), (64, 256, 64), (128, 128, 64)),
    *tiles(Backward, (192, 256, 64), (128, 256, 64), (64, 256, 64), (128, 128, 64)),
)


@pytest.mark.parametrize("way, case", EVERY_TILE)
def test_every_tile(way, case):
    assert_right(way, case, "integers")


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


# Layers of the two-tower net, with fewer rows and columns; the last, of the net with one.
LAYERS = (
    Conv((96, 5, 7, 128), (48, 5, 5, 256), pad=2, groups=2, name="conv2 "),
    Conv((256, 3, 3, 128), (256, 3, 3, 384), pad=1, name="conv3 "),
    Conv((384, 3, 3, 128), (192, 3, 3, 384), pad=1, groups=2, name="conv4 "),
    Conv((384, 3, 3, 256), (192, 3, 3, 256), pad=1, groups=2, name="conv5 "),
    Conv((96, 3, 5, 64), (96, 5, 5, 256), pad=2, name="conv2 of one tower "),
)


@pytest.mark.parametrize("way, case", both_ways(LAYERS))
def test_layers_of_alexnet(way, case):
    assert_right(way, case, "normal")


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
def test_blocks_and_threads_in_any_order_give_the_same_bits(way, case, monkeypatch):
    """One block for all tiles, or two: the ring goes round across tiles, and the staging is used again."""
    o = Operands.of(case, "normal")
    first = way.run(case, o).tobytes()
    for blocks in (1, 2, 7):
        assert way.run(replace(case, blocks=blocks), o).tobytes() == first
    for order, threads in (("reverse", "1"), ("random:1", "1"), ("random:2", "2")):
        monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
        monkeypatch.setenv("ALEXNET_THREADS", threads)
        assert way.run(replace(case, blocks=3), o).tobytes() == first, order


def test_nan_reaches_the_results_that_see_it_and_no_other():
    """Towers of 72 channels and filters: tiles and steps of one reach into the other's, and get zeros from there."""
    case = Conv((144, 5, 5, 64), (72, 3, 3, 144), pad=1, groups=2)
    o = Operands.of(case, "integers")
    o.x[72, 0, 0, 3] = o.dy[72, 0, 0, 3] = o.b[100] = o.w[5, 1, 1, 40] = np.nan
    for way in (Forward, Backward):
        got, want = way.run(case, o), way.expected(case, o)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        assert np.isnan(want).any() and np.isfinite(want).any()


# What AlexNet's layers get: two towers with 128 images and 1024, and conv2 in one tower.
CHOICES = (
    ("fprop", "conv2", 128, "756 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
    ("fprop", "conv3", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv4", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv5", 128, "182 tiles of 128x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv5", 1024, "1352 tiles of 128x256, 1 positions of 256 images, steps of 64"),
    ("fprop", "conv2 of one tower", 128, "756 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
    ("dgrad", "conv2", 128, "378 tiles of 64x512, 4 positions of 128 images, steps of 16 for 5 taps"),
    ("dgrad", "conv3", 128, "182 tiles of 128x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv4", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv5", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv5", 1024, "1352 tiles of 192x256, 1 positions of 256 images, steps of 64"),
    ("dgrad", "conv2 of one tower", 128, "378 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
)


@pytest.mark.parametrize("way, layer, images, text", CHOICES)
def test_choices_for_alexnet(way, layer, images, text):
    case = next(case for case in LAYERS if case.name == layer + " ")
    size = 27 if "conv2" in layer else 13
    whole = replace(case, x=(case.x[0], size, size, images))
    assert getattr(emulated, f"choose_conv_{way}_hopper")(*whole.shapes, MULTIPROCESSORS) == text


def fits(way, case, *addresses):
    return getattr(emulated, f"conv_{way.name}_hopper_fits")(*addresses, *case.shapes)


def test_calls_that_the_copy_engine_cannot_take_are_refused():
    good = Conv((16, 4, 4, 64), (16, 3, 3, 16), pad=1)
    assert fits(Forward, good, 1024, 2048, 4096) and fits(Backward, good, 1024, 2048, 0, 4096)
    assert not fits(Forward, good, 1024 + 8, 2048, 4096)
    assert not fits(Backward, good, 1024, 2048, 4096 + 2, 4096)
    others = (
        replace(good, x=(16, 4, 4, 12)),
        replace(good, w=(16, 3, 3, 12)),
        replace(good, x=(32, 4, 4, 64), w=(16, 3, 3, 24), groups=2),  # 12 filters in a group
        replace(good, x=(48, 4, 4, 64), w=(16, 3, 3, 48), groups=3),
        replace(good, x=(16, 40, 40, 64), w=(16, 11, 11, 16), stride=9),
    )
    for case in others:
        assert not fits(Forward, case, 0, 0, 0) and not fits(Backward, case, 0, 0, 0, 0)
        with pytest.raises(ValueError, match="does not fit"):
            Forward.run(case, Operands.of(case, "integers"))
    strided = replace(good, x=(16, 5, 5, 64), stride=2)
    assert fits(Forward, strided, 0, 0, 0) and not fits(Backward, strided, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="does not fit"):
        Backward.run(strided, Operands.of(strided, "integers"))
    with pytest.raises(ValueError, match="no kernel for tiles of 96x256"):
        Forward.run(replace(good, tile=(96, 256, 64, 1)), Operands.of(good, "integers"))
    with pytest.raises(ValueError, match="not with 3 positions"):
        Forward.run(replace(good, tile=(64, 256, 64, 3)), Operands.of(good, "integers"))
    with pytest.raises(ValueError, match="cannot take this shape"):
        Forward.run(replace(good, tile=(128, 256, 16, 4)), Operands.of(good, "integers"))
