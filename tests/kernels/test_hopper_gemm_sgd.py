"""A fully connected layer's gradient and update in one pass, through the emulator: the bits of both passes in turn."""

from dataclasses import dataclass

import numpy as np
import pytest
from kernels.hopper import HERE, emulated
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks.guard import Guarded
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32


@dataclass
class Layer:
    """A fully connected layer's weights before its update, with what its gradient is made of."""

    inputs: int
    outputs: int
    images: int

    def __post_init__(self):
        rng = np.random.default_rng(7)
        self.x = rng.standard_normal((self.inputs, self.images)).astype(BFLOAT16)
        self.dy = rng.standard_normal((self.outputs, self.images)).astype(BFLOAT16)
        shape = (self.inputs, self.outputs)
        self.w, self.v = (Guarded(rng.standard_normal(shape).astype(FLOAT32), 0) for _ in range(2))
        self.copy = Guarded(np.full(shape, np.nan, BFLOAT16), 0)
        self.state = ops.step_state(lr_scale=0.25)

    @property
    def sizes(self):
        return (self.inputs, self.outputs, self.images)

    RATES = (0.5, 0.9, 0.01)  # learning rate, momentum, weight decay

    def update_in_one_pass(self, copy=True, blocks=0):
        arrays = (self.x, self.dy, self.w.array, self.v.array)
        addresses = [array.ctypes.data for array in arrays]
        copy_address = self.copy.array.ctypes.data if copy else 0
        state = self.state.ctypes.data
        emulated.gemm_sgd_hopper(*addresses, copy_address, state, self.sizes, *self.RATES, blocks, HERE)
        assert all(guarded.canaries_alive() for guarded in (self.w, self.v, self.copy))

    def update_in_two(self):
        dw = np.empty((self.inputs, self.outputs), FLOAT32)
        emulated.gemm_hopper(
            self.x.ctypes.data, self.dy.ctypes.data, dw.ctypes.data, self.sizes, False, True, 1, 0, 0, False,
            "float32", (256, 1, 132), 0, HERE,
        )  # fmt: skip
        lr, momentum, weight_decay = self.RATES
        with ops.backend("emulated"):
            ops.sgd_momentum(
                self.w.array, self.v.array, dw, lr=lr, momentum=momentum, weight_decay=weight_decay,
                w_bf16=self.copy.array, state=self.state,
            )  # fmt: skip

    def bits(self):
        return [guarded.array.tobytes() for guarded in (self.w, self.v, self.copy)]


@pytest.mark.parametrize("sizes", ((64, 256, 64), (136, 264, 72), (8, 8, 8), (200, 520, 128)), ids=str)
def test_gradient_and_update_in_one_pass_are_those_in_two(sizes):
    once, twice = Layer(*sizes), Layer(*sizes)
    once.update_in_one_pass()
    twice.update_in_two()
    assert once.bits() == twice.bits()


@pytest.mark.parametrize("order", ("forward", "reverse", "random:1", "random:2"))
@pytest.mark.parametrize("images", (192, 256, 576))
def test_consumers_in_turns_keep_to_their_own_steps(images, order, monkeypatch):
    """Three, four and nine steps a tile, in a ring of four stages: one consumer skips more than the ring holds."""
    monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
    once, twice = Layer(320, 256, images), Layer(320, 256, images)
    once.update_in_one_pass(blocks=1)
    twice.update_in_two()
    assert once.bits() == twice.bits()


def test_a_block_that_updates_all_tiles(monkeypatch):
    """Consumers take turns, with one to three tiles for them."""
    first = Layer(136, 520, 72)
    first.update_in_one_pass()
    for blocks, order in ((1, "forward"), (2, "reverse"), (4, "random:3")):
        monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
        layer = Layer(136, 520, 72)
        layer.update_in_one_pass(blocks=blocks)
        assert layer.bits() == first.bits()


def test_no_update_while_ok_is_0_and_none_of_a_copy_that_is_not_there():
    layer, before = Layer(72, 264, 8), Layer(72, 264, 8)
    layer.state[1] = 0
    layer.update_in_one_pass()
    assert layer.bits() == before.bits()
    layer.state[1] = 1
    layer.update_in_one_pass(copy=False)
    before.update_in_two()
    assert layer.bits()[:2] == before.bits()[:2]
    assert np.isnan(layer.copy.array).all()


@pytest.mark.parametrize("module", MODULES)
def test_the_update_s_launch_can_be_printed_without_a_gpu(module):
    assert module.choose_gemm_sgd_hopper((9216, 4096, 128)) == "2304 tiles of 64x256, 132 blocks"
