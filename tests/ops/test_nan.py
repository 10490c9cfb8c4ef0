"""NaN passes through every operation that could hide it, so that poison and a first bad layer can be seen."""

import numpy as np
import pytest
from tables import DTYPES

from alexnet_cuda import ops
from alexnet_cuda.ops import backends

NAN = np.float32(np.nan)
PLAIN = {"stride": 1, "pad": 0, "groups": 1, "ceil_mode": False}


@pytest.fixture(params=("reference", "cpu", "emulated"), autouse=True)
def backend(request):
    with ops.backend(request.param):
        yield backends.load(request.param)


@pytest.fixture(params=("float32", "bfloat16"))
def dtype(request):
    return DTYPES[request.param]


def same(got, want):
    """Equal where numbers are, NaN where NaN is; all of them small enough for bfloat16."""
    np.testing.assert_array_equal(got.astype(np.float32), want)


def supported(backend, op):
    if not hasattr(backend, op):
        pytest.skip(f"no kernel for {op} yet")


def test_relu(backend, dtype):
    x = np.array([NAN, -1, 0, 1, np.inf, -np.inf, -0.0] * 2, dtype)  # more than a pack of 16 bytes
    same(ops.relu(x), [NAN, 0, 0, 1, np.inf, 0, 0] * 2)
    dy = np.arange(1, 15).astype(dtype)
    same(ops.relu_backward(dy, x), [1, 0, 0, 4, 5, 0, 0, 8, 0, 0, 11, 12, 0, 0])
    same(ops.relu_backward(np.full(2, NAN, dtype), np.array([1, 0], dtype)), [NAN, 0])


def test_fused_relu(backend):
    supported(backend, "conv2d")
    x = np.zeros((1, 2, 2, 2), np.float32)
    x[0, 0, 0, 1] = NAN
    y = ops.conv2d(x, np.ones((1, 1, 1, 3), np.float32), relu=True)
    assert np.isnan(y[:, 0, 0, 1]).all()
    assert np.isnan(y).sum() == 3
    assert np.isnan(ops.gemm(np.full((1, 1), NAN), np.ones((1, 1), np.float32), relu=True))
    dx = ops.conv2d_dgrad(y, np.ones((1, 1, 1, 3), np.float32), x.shape, **PLAIN, relu_y=np.full(x.shape, NAN))
    assert np.isnan(dx[0, 0, 0, 1])
    assert (dx[0, 1] == 0).all()


def test_max_pool_gives_the_first_nan_of_a_window(backend, dtype):
    supported(backend, "max_pool")
    x = np.zeros((1, 3, 3, 16), dtype)
    x[0, 1, 1, 0] = x[0, 2, 0, 0] = NAN
    x[0, 2, 2, 0] = 9
    y, arg = ops.max_pool(x, size=3, stride=1)
    same(y.ravel(), [NAN] + [0] * 15)
    assert arg.ravel().tolist() == [4] + [0] * 15


def test_max_pool_of_minus_infinity_points_at_a_pixel(backend, dtype):
    supported(backend, "max_pool")
    x = np.full((1, 2, 2, 1), -np.inf, dtype)
    y, arg = ops.max_pool(x, size=2, stride=1, pad=1)
    assert (y == -np.inf).all()
    # Windows from the corner inwards: their first pixel is tap 3, 2, 2 in the top row, 1, 0, 0 below.
    assert arg[0, :, :, 0].tolist() == [[3, 2, 2], [1, 0, 0], [1, 0, 0]]


def test_max_pool_backward_selects_and_does_not_multiply(backend, dtype):
    supported(backend, "max_pool_backward")
    dy = np.full((1, 1, 1, 1), np.inf, dtype)
    dx = ops.max_pool_backward(
        dy, np.full(dy.shape, 3, np.uint8), (1, 2, 2, 1), size=2, stride=2, pad=0, ceil_mode=False
    )
    assert dx.ravel().tolist() == [0, 0, 0, np.inf]


@pytest.mark.parametrize("name", ("lrn", "lrn_within_channel"))
def test_normalisation(backend, name, dtype):
    supported(backend, name)
    x = np.ones((5, 5, 5, 8), dtype)
    x[2, 2, 2, 0] = NAN
    y = getattr(ops, name)(x, size=3, alpha=0.1, beta=0.75, k=1.0)
    assert np.isnan(y[2, 2, 2, 0])
    assert np.isnan(y).sum() == (3 if name == "lrn" else 9)
