"""Convolution on Hopper's matrix units for its tests: a case, its run on the emulator, and what must come out."""

from dataclasses import dataclass

import numpy as np
import pytest
from kernels.hopper import HERE, as_bf16, bf16_bound, emulated, guarded_output

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


# Layers of the two-tower net, with fewer rows and columns; the last, of the net with one.
LAYERS = (
    Conv((96, 5, 7, 128), (48, 5, 5, 256), pad=2, groups=2, name="conv2 "),
    Conv((256, 3, 3, 128), (256, 3, 3, 384), pad=1, name="conv3 "),
    Conv((384, 3, 3, 128), (192, 3, 3, 384), pad=1, groups=2, name="conv4 "),
    Conv((384, 3, 3, 256), (192, 3, 3, 256), pad=1, groups=2, name="conv5 "),
    Conv((96, 3, 5, 64), (96, 5, 5, 256), pad=2, name="conv2 of one tower "),
)
