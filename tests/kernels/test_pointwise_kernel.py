"""Pointwise kernels: what the case tables leave out."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.ops import backends
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

DTYPES = (FLOAT32, BFLOAT16)


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    for choose, packs in ((module.choose_pointwise, "2 x "), (module.choose_relu, "")):
        assert choose(1, True, "float32") == f"1 blocks of 256 threads, {packs}1 element at a time"
        assert choose(7, True, "bfloat16") == f"1 blocks of 256 threads, {packs}1 element at a time"
        assert choose(8, True, "bfloat16") == f"1 blocks of 256 threads, {packs}8 elements at a time"
        assert choose(1 << 40, True, "bfloat16").startswith("2048 blocks")
        with pytest.raises(ValueError, match="count must be at least 1, got 0"):
            choose(0, True, "float32")
        with pytest.raises(ValueError, match="dtype: got float64, wanted float32 or bfloat16"):
            choose(8, True, "float64")
    assert module.choose_pointwise(2049, True, "float32") == "2 blocks of 256 threads, 2 x 4 elements at a time"
    assert module.choose_pointwise(2049, False, "float32") == "5 blocks of 256 threads, 2 x 1 element at a time"
    assert module.choose_pointwise(4097, True, "bfloat16") == "2 blocks of 256 threads, 2 x 8 elements at a time"
    assert module.choose_relu(4097, True, "bfloat16") == "2 blocks of 256 threads, 8 elements at a time"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ("relu", "tanh", "sigmoid"))
def test_the_result_may_replace_the_input(name, dtype):
    x = np.linspace(-3, 3, 1037).astype(dtype)
    with ops.backend("emulated"):
        want = getattr(ops, name)(x)
        np.testing.assert_array_equal(getattr(ops, name)(x, out=x), want)
        dy = np.linspace(2, -2, 1037).astype(dtype)
        backward = getattr(ops, f"{name}_backward")
        gradient = backward(dy, want)
        np.testing.assert_array_equal(backward(dy, want, out=dy), gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("count", (1, 3, 5, 9, 1024, 2051))
def test_scale(count, offset, dtype):
    kernels = backends.load("emulated")
    x = np.linspace(-1, 1, count + offset).astype(dtype)[offset:]
    y = np.full(count + 16, 77, dtype)
    kernels.scale(x, factor=0.3, out=y[8 : 8 + count])
    np.testing.assert_array_equal(y[8 : 8 + count], (np.float32(0.3) * x.astype(np.float32)).astype(dtype))
    assert (y[:8] == 77).all() and (y[8 + count :] == 77).all()


def test_more_bfloat16_than_the_threads_of_a_grid_hold():
    """The case table's largest arrays are that for float32 only."""
    x = (np.arange(2048 * 256 * 16 + 5) % 256).astype(BFLOAT16)
    with ops.backend("emulated"):
        assert ops.relu(x).tobytes() == ops.scale(x, 1.0).tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_and_missing_numbers_pass(dtype):
    x = np.tile(np.array([-np.inf, np.inf, np.nan, -0.0], dtype), 2)  # a pack of bfloat16
    with ops.backend("emulated"):
        for y, want in (
            (ops.relu(x), [0, np.inf, np.nan, 0]),
            (ops.tanh(x), [-1, 1, np.nan, 0]),
            (ops.sigmoid(x), [0, 1, np.nan, 0.5]),
            (ops.add(x, x), [-np.inf, np.inf, np.nan, 0]),
        ):
            np.testing.assert_array_equal(y.astype(np.float32), want * 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_kernel_refuses_memory_that_overlaps_in_part(dtype):
    buffer = np.zeros(100, dtype)
    with pytest.raises(ValueError, match="tanh_forward: the input and the output overlap in part"):
        backends.load("emulated").tanh(buffer[:90], out=buffer[10:])
