"""Pointwise kernels: what the case tables leave out."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.ops import backends


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    assert module.choose_pointwise(1, True) == "1 blocks of 256 threads, 2 x 1 float at a time"
    assert module.choose_pointwise(2049, True) == "2 blocks of 256 threads, 2 x 4 floats at a time"
    assert module.choose_pointwise(2049, False) == "5 blocks of 256 threads, 2 x 1 float at a time"
    assert module.choose_pointwise(1 << 40, True).startswith("2048 blocks")
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        module.choose_pointwise(0, True)


@pytest.mark.parametrize("name", ("relu", "tanh", "sigmoid"))
def test_the_result_may_replace_the_input(name):
    x = np.linspace(-3, 3, 1037, dtype=np.float32)
    with ops.backend("emulated"):
        want = getattr(ops, name)(x)
        np.testing.assert_array_equal(getattr(ops, name)(x, out=x), want)
        dy = np.linspace(2, -2, 1037, dtype=np.float32)
        backward = getattr(ops, f"{name}_backward")
        gradient = backward(dy, want)
        np.testing.assert_array_equal(backward(dy, want, out=dy), gradient)


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("count", (1, 3, 5, 1024, 2051))
def test_scale(count, offset):
    kernels = backends.load("emulated")
    x = np.linspace(-1, 1, count + offset, dtype=np.float32)[offset:]
    y = np.full(count + 8, 77, np.float32)
    kernels.scale(x, factor=0.3, out=y[4 : 4 + count])
    np.testing.assert_array_equal(y[4 : 4 + count], np.float32(0.3) * x)
    assert (y[:4] == 77).all() and (y[4 + count :] == 77).all()


def test_infinite_and_missing_numbers_pass():
    x = np.array([-np.inf, np.inf, np.nan, -0.0], np.float32)
    with ops.backend("emulated"):
        np.testing.assert_array_equal(ops.tanh(x), [-1, 1, np.nan, 0])
        np.testing.assert_array_equal(ops.sigmoid(x), [0, 1, np.nan, 0.5])
        np.testing.assert_array_equal(ops.add(x, x), [-np.inf, np.inf, np.nan, 0])


def test_a_kernel_refuses_memory_that_overlaps_in_part():
    buffer = np.zeros(100, np.float32)
    with pytest.raises(ValueError, match="tanh_forward: the input and the output overlap in part"):
        backends.load("emulated").tanh(buffer[:90], out=buffer[10:])
