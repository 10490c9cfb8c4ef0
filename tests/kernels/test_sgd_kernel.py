"""The update's kernel: what the case tables leave out."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.ops.arrays import BFLOAT16

RATES = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01}


@pytest.mark.parametrize("offset", range(9))
def test_the_bfloat16_copy_at_any_address(offset):
    """It is written in packs of 8 bytes where its address allows, whatever the other addresses."""
    w, v, dw = (np.linspace(-i, i + 1, 103, dtype=np.float32) for i in range(3))
    buffer = np.full(103 + 16, 77, BFLOAT16)
    with ops.backend("emulated"):
        ops.sgd_momentum(w, v, dw, **RATES, w_bf16=buffer[offset : offset + 103])
    np.testing.assert_array_equal(buffer[offset : offset + 103], w.astype(BFLOAT16))
    assert (buffer[:offset] == 77).all() and (buffer[offset + 103 :] == 77).all()


def test_nothing_is_written_while_ok_is_0():
    state = ops.step_state()
    state[1] = 0
    w, v, dw = (np.full(9, value, np.float32) for value in (1, 2, np.nan))
    copy = np.full(9, 3, BFLOAT16)
    with ops.backend("emulated"):
        ops.sgd_momentum(w, v, dw, **RATES, w_bf16=copy, state=state)
    assert (w == 1).all() and (v == 2).all() and (copy == 3).all()


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    assert module.choose_sgd(1025, True) == "2 blocks of 256 threads, 4 weights at a time"
    assert module.choose_sgd(1025, False) == "5 blocks of 256 threads, 1 weight at a time"
