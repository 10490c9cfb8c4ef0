"""Convolution and matrix products of bfloat16: the case tables, any order of threads, any address, NaN, roundings.

Each on the general kernels and, as on a Hopper GPU, on those for its tensor cores where they take the call.
"""

import numpy as np
import pytest
from tables import OPERATIONS, PRODUCTS, SEED, drawn, parameters

from alexnet_cuda import ops
from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.runner import DTYPES, VALUES, check_case, run_guarded

GENERAL, HOPPER = "80", "90"
BFLOAT16, FLOAT32 = DTYPES["bfloat16"], DTYPES["float32"]


@pytest.fixture(params=[GENERAL, HOPPER], autouse=True)
def capability(request, monkeypatch):
    """Of the emulated GPU."""
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", request.param)
    return request.param


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", parameters(*PRODUCTS, large=False))
def test_case_tables(operation, case, values):
    for row in check_case(operation, case, values, "emulated", "bfloat16", SEED):
        assert row.passed, row.message


def bits(operation, case, order, threads, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
    monkeypatch.setenv("ALEXNET_THREADS", threads)
    with ops.backend("emulated"):
        results = operation.run(drawn(operation, case, "normal").cast(BFLOAT16))
    return [result.tobytes() for result in results]


@pytest.mark.parametrize("operation, case", parameters(*PRODUCTS, large=False))
def test_any_order_gives_the_same_bits(operation, case, monkeypatch):
    first = bits(operation, case, "forward", "1", monkeypatch)
    for order, threads in (("reverse", "1"), ("random:1", "2")):
        assert bits(operation, case, order, threads, monkeypatch) == first, (order, threads)


@pytest.mark.parametrize("capability", [GENERAL], indirect=True)
@pytest.mark.parametrize("name", ("conv2d", "conv2d_dgrad", "gemm"))
def test_a_result_is_rounded_once(name):
    """The general kernels of float32 sum in the same order, so the results differ by that one rounding."""
    operation = OPERATIONS[name]
    for case in operation.cases[:24]:
        kwargs = drawn(operation, case, "normal").cast(BFLOAT16)
        wide = {key: value.astype(FLOAT32) if hasattr(value, "astype") else value for key, value in kwargs.items()}
        with ops.backend("emulated"):
            (got,), (want,) = operation.run(kwargs), operation.run(wide)
        assert got.dtype == BFLOAT16 and want.dtype == FLOAT32
        np.testing.assert_array_equal(got, want.astype(BFLOAT16), err_msg=case.name)


# Multiples of 8 bytes are enough for reads of four, multiples of 2 must do for single ones.
@pytest.mark.parametrize("name", ("conv2d", "conv2d_dgrad", "conv2d_wgrad", "bias_grad"))
@pytest.mark.parametrize("offset", range(1, 9))
@pytest.mark.parametrize("channels", (3, 8))
def test_any_address(name, offset, channels):
    operation = OPERATIONS[name]
    case = ConvCase("eights", (channels, 5, 6, 8), (channels, 3, 3, 8), pad=1, relu_below=True)
    kwargs = drawn(operation, case, "integers").cast(BFLOAT16)
    want = operation.reference(kwargs)
    (got,), problem = run_guarded("emulated", operation, kwargs, want, BFLOAT16, offset)
    assert not problem
    np.testing.assert_array_equal(got, want[0].astype(got.dtype))


def test_ties_go_to_even_and_too_large_ones_to_infinity():
    ones = np.ones((2, 1), BFLOAT16)
    # Neighbours of bfloat16 are 2 apart at 256, and 256 and 260 end in an even digit. The largest one is 3.3895e38.
    a = np.array([[256, 1], [258, 1], [258, 1.5], [-256, -1], [3.39e38, 1e36], [-3.39e38, -1e36]], BFLOAT16)
    want = np.array([[256], [260], [260], [-256], [np.inf], [-np.inf]], np.float32)
    x, w = np.ascontiguousarray(a.T).reshape(2, 1, 6, 1), ones.reshape(2, 1, 1, 1)
    with ops.backend("emulated"):
        np.testing.assert_array_equal(ops.gemm(a, ones).astype(np.float32), want)
        np.testing.assert_array_equal(ops.conv2d(x, w).astype(np.float32).ravel(), want.ravel())


def test_nan_passes_through_relu_and_mask():
    x = np.zeros((1, 2, 2, 2), BFLOAT16)
    x[0, 0, 0, 1] = np.nan
    w = np.ones((1, 1, 1, 3), BFLOAT16)
    plain = {"stride": 1, "pad": 0, "groups": 1, "ceil_mode": False}
    with ops.backend("emulated"):
        y = ops.conv2d(x, w, relu=True).astype(np.float32)
        dx = ops.conv2d_dgrad(y.astype(BFLOAT16), w, x.shape, **plain, relu_y=np.full(x.shape, np.nan, BFLOAT16))
        dw = ops.conv2d_wgrad(x, y.astype(BFLOAT16), w.shape, **plain)
        db = ops.bias_grad(y.astype(BFLOAT16))
        c = ops.gemm(np.full((1, 1), np.nan, BFLOAT16), np.ones((1, 1), BFLOAT16), relu=True)
    assert np.isnan(y[:, 0, 0, 1]).all() and np.isnan(y).sum() == 3
    assert np.isnan(dx[0, 0, 0, 1].astype(np.float32)) and (dx[0, 1].astype(np.float32) == 0).all()
    assert np.isnan(dw).all() and np.isnan(db).all() and np.isnan(c.astype(np.float32)).all()
