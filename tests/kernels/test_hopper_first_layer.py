"""The first layer on Hopper's matrix units."""

from dataclasses import dataclass

import numpy as np
import pytest
from kernels.hopper import BOTH, EMULATOR, as_bf16, bf16_bound, emulated, guarded, guarded_output
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.table import sample
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32


@dataclass(frozen=True)
class Layer:
    """x [C, H, W, N], K filters of R x S."""

    C: int
    H: int
    W: int
    N: int
    K: int
    R: int
    S: int
    stride: int = 1
    pad: int = 0
    ceil_mode: bool = False
    relu: bool = False
    bias: bool = True
    blocks: int = 0

    @property
    def geometry(self):
        return {"stride": self.stride, "pad": self.pad, "ceil_mode": self.ceil_mode}


@dataclass
class Arrays:
    """Arguments in float64, as bfloat16 (the bias as float32) keeps them."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray

    @classmethod
    def of(cls, layer, values):
        rng = np.random.default_rng([layer.C, layer.H, layer.N, layer.K])
        x = as_bf16(sample(rng, (layer.C, layer.H, layer.W, layer.N), values))
        w = as_bf16(sample(rng, (layer.C, layer.R, layer.S, layer.K), values))
        return cls(x, w, sample(rng, (layer.K,), values).astype(FLOAT32).astype(np.float64))


def reference(layer, x, w, b):
    with ops.backend("reference"):
        return ops.conv2d(x, w, b if layer.bias else None, **layer.geometry, relu=layer.relu)


def run(layer, arrays, machine=EMULATOR):
    typed = (arrays.x.astype(BFLOAT16), arrays.w.astype(BFLOAT16), arrays.b.astype(FLOAT32))
    x, w, b = (guarded(array, machine).array for array in typed)
    shape = reference(layer, *(np.zeros_like(array) for array in (arrays.x, arrays.w, arrays.b))).shape
    y = guarded_output(shape, BFLOAT16, machine)
    machine.module.conv_first_layer_hopper(
        machine.address(x), machine.address(w), machine.address(b) if layer.bias else 0, machine.address(y.array),
        x.shape, w.shape, shape, (layer.stride,) * 2, (layer.pad,) * 2, layer.relu, layer.blocks, machine.where,
    )  # fmt: skip
    assert y.canaries_alive()
    return machine.back(y.array)


def bound(layer, arrays, got):
    plain = Layer(**{**vars(layer), "relu": False})
    scale = reference(plain, np.abs(arrays.x), np.abs(arrays.w), np.abs(arrays.b))
    return bf16_bound(got, scale, layer.C * layer.R * layer.S + 1)


LAYERS = (
    Layer(3, 23, 23, 64, 96, 11, 11, stride=4, relu=True),  # AlexNet's filters, 16 positions
    Layer(3, 19, 15, 72, 48, 11, 11, stride=4, pad=2),  # one tower; images beside the tile
    Layer(3, 18, 14, 8, 96, 11, 11, stride=4, ceil_mode=True, bias=False),  # windows past the edge
    Layer(3, 15, 15, 8, 100, 11, 11, stride=4),  # 128 filters of which 100 exist
    Layer(3, 6, 5, 16, 64, 3, 3, pad=1, relu=True),
    Layer(3, 9, 9, 64, 97, 7, 7, stride=2, pad=3),
    Layer(4, 6, 7, 24, 200, 4, 4, stride=3),  # two launches; products a multiple of 16
    Layer(6, 8, 8, 8, 70, 8, 8, pad=1),  # the most products
    Layer(1, 3, 4, 8, 3, 1, 1),
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_against_the_reference(layer, values, machine):
    arrays = Arrays.of(layer, values)
    got, want = run(layer, arrays, machine), reference(layer, arrays.x, arrays.w, arrays.b)
    if values == "integers":
        np.testing.assert_array_equal(got, want.astype(FLOAT32).astype(BFLOAT16))
    else:
        comparison = compare(got, want, bound(layer, arrays, got))
        assert comparison.passed, comparison.message


def test_the_bound_sees_a_lost_tap():
    layer = LAYERS[0]
    arrays = Arrays.of(layer, "normal")
    got = run(layer, arrays)
    arrays.w[2, 10, 10] = 0
    want = reference(layer, arrays.x, arrays.w, arrays.b)
    assert not compare(got, want, bound(layer, arrays, got)).passed


def test_any_order_and_any_number_of_blocks_give_the_same_bits(monkeypatch):
    """Blocks with one tile (a consumer without any), with an odd and an even number of them."""
    layer = Layer(3, 15, 15, 72, 96, 5, 5, stride=4, pad=2)
    arrays = Arrays.of(layer, "normal")
    first = run(layer, arrays).tobytes()
    for blocks, order, threads in ((1, "reverse", "1"), (2, "random:1", "1"), (5, "random:2", "2")):
        monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
        monkeypatch.setenv("ALEXNET_THREADS", threads)
        assert run(Layer(**{**vars(layer), "blocks": blocks}), arrays).tobytes() == first


def test_nan_comes_out_and_stays_where_it_belongs(machine):
    layer = Layer(3, 4, 4, 16, 20, 3, 3, relu=True)
    arrays = Arrays.of(layer, "integers")
    arrays.x[0, 0, 0, 5] = np.nan  # one window of one image sees it
    arrays.b[7] = np.nan
    wrong = np.isnan(run(layer, arrays, machine))
    assert wrong[7].all() and wrong[:, 0, 0, 5].all()
    assert wrong.sum() == 2 * 2 * 16 + 19


def test_what_the_kernel_cannot_take():
    def fits(x=(3, 15, 15, 64), w=(3, 11, 11, 96), y=(96, 2, 2, 64), x_at=0, y_at=0):
        return emulated.conv_first_layer_hopper_fits(1024 + x_at, 2048 + y_at, x, w, y, (4, 4), (0, 0))

    assert fits()
    assert not fits(x=(3, 15, 15, 60), y=(96, 2, 2, 60))  # images
    assert not fits(x=(4, 15, 15, 64), w=(4, 11, 11, 96))  # products
    assert not fits(x_at=8) and not fits(y_at=8)


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    def chosen(filters, images):
        shapes = (3, 227, 227, images), (3, 11, 11, filters), (filters, 55, 55, images)
        return module.choose_conv_first_layer_hopper(*shapes, (4, 4), (0, 0))

    assert chosen(96, 128) == "tiles of 64 images x 96 filters, 3 stages, 6050 tiles by 132 blocks"
    assert chosen(48, 8) == "tiles of 64 images x 64 filters, 3 stages, 3025 tiles by 132 blocks"
    assert chosen(192, 64) == "2 launches, tiles of 64 images x 128 filters, 2 stages, 3025 tiles by 132 blocks"
