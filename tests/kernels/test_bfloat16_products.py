"""Convolution and matrix products of bfloat16: the case tables, any order of threads, any address, NaN, roundings.

Each on the general kernels and, as on a Hopper GPU, on those for its tensor cores where they take the call; and on the
GPU of this machine.
"""

import contextlib

import numpy as np
import pytest
from tables import OPERATIONS, PRODUCTS, SEED, drawn, is_large, parameters

from alexnet_cuda import ops
from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.cases.fused import GemmUpdateCase
from alexnet_cuda.checks.runner import DTYPES, VALUES, check_case, run_guarded, transfers

GENERAL, HOPPER = "80", "90"
GPU = pytest.param("cuda", marks=pytest.mark.gpu)
BFLOAT16, FLOAT32 = DTYPES["bfloat16"], DTYPES["float32"]


@pytest.fixture(params=[GENERAL, HOPPER, GPU], autouse=True)
def backend(request, monkeypatch):
    """The emulated GPU of a compute capability, or this machine's."""
    if request.param == "cuda":
        return "cuda"
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", request.param)
    return "emulated"


def run(backend, function, *args, **kwargs):
    """One call on NumPy arrays where the backend has them; its results as NumPy arrays."""
    move, back = transfers(backend)

    def there(value):
        return move(value) if isinstance(value, np.ndarray) else value

    with contextlib.nullcontext() if backend == "cuda" else ops.backend(backend):
        results = function(*map(there, args), **{name: there(value) for name, value in kwargs.items()})
    return tuple(map(back, results)) if isinstance(results, tuple) else back(results)


def called(backend, operation, kwargs):
    return run(backend, lambda **given: operation.run(given), **kwargs)


def assert_right(operation, case, values, backend):
    for row in check_case(operation, case, values, backend, "bfloat16", SEED):
        assert row.passed, (row.offset, row.message)


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", parameters(*PRODUCTS, large=False))
def test_case_tables(operation, case, values, backend):
    assert_right(operation, case, values, backend)


def on_tensor_cores(operation, case):
    """Whether they take a layer of AlexNet with as many images as its case has."""
    if not operation.tensor_cores or (operation.name == "conv2d_dgrad" and case.stride != 1):
        return False
    if isinstance(case, ConvCase):
        sizes = case.x[3:]
    elif isinstance(case, GemmUpdateCase):
        sizes = case.inputs, case.outputs, case.images
    else:
        sizes = case.M, case.N, case.K
    return all(size % 8 == 0 for size in sizes)


LAYERS = [each for each in parameters(*PRODUCTS) if is_large(each.values[1])]


@pytest.mark.parametrize("backend", [GPU], indirect=True)
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", LAYERS)
def test_layers_of_alexnet_on_a_gpu(operation, case, values, backend):
    assert_right(operation, case, values, backend)


@pytest.mark.parametrize("backend", [HOPPER], indirect=True)
@pytest.mark.parametrize("operation, case", [each for each in LAYERS if on_tensor_cores(*each.values)])
def test_layers_of_alexnet_on_tensor_cores(operation, case, backend):
    """Integers alone, which lie where tensor cores take them."""
    assert_right(operation, case, "integers", backend)


@pytest.mark.parametrize("operation, case", parameters(*PRODUCTS, large=False))
def test_any_order_gives_the_same_bits(operation, case, backend, monkeypatch):
    """On a GPU, whatever order it takes."""
    results = set()
    for order, threads in (("forward", "1"), ("reverse", "1"), ("random:1", "2")):
        monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
        monkeypatch.setenv("ALEXNET_THREADS", threads)
        got = called(backend, operation, drawn(operation, case, "normal").cast(BFLOAT16))
        results.add(tuple(result.tobytes() for result in got))
    assert len(results) == 1


@pytest.mark.parametrize("backend", [GENERAL], indirect=True)
@pytest.mark.parametrize("name", ("conv2d", "conv2d_dgrad", "gemm"))
def test_a_result_is_rounded_once(name, backend):
    """The general kernels of float32 sum in the same order, so the results differ by that one rounding."""
    operation = OPERATIONS[name]
    for case in operation.cases[:24]:
        kwargs = drawn(operation, case, "normal").cast(BFLOAT16)
        wide = {key: value.astype(FLOAT32) if hasattr(value, "astype") else value for key, value in kwargs.items()}
        (got,), (want,) = called(backend, operation, kwargs), called(backend, operation, wide)
        assert got.dtype == BFLOAT16 and want.dtype == FLOAT32
        np.testing.assert_array_equal(got, want.astype(BFLOAT16), err_msg=case.name)


# Multiples of 8 bytes are enough for reads of four, multiples of 2 must do for single ones.
@pytest.mark.parametrize("name", ("conv2d", "conv2d_dgrad", "conv2d_wgrad", "bias_grad"))
@pytest.mark.parametrize("offset", range(1, 9))
@pytest.mark.parametrize("channels", (3, 8))
def test_any_address(name, offset, channels, backend):
    operation = OPERATIONS[name]
    case = ConvCase("eights", (channels, 5, 6, 8), (channels, 3, 3, 8), pad=1, relu_below=True)
    kwargs = drawn(operation, case, "integers").cast(BFLOAT16)
    want = operation.reference(kwargs)
    (got,), problem = run_guarded(backend, operation, kwargs, want, BFLOAT16, offset)
    assert not problem
    np.testing.assert_array_equal(got, want[0].astype(got.dtype))


def test_ties_go_to_even_and_too_large_ones_to_infinity(backend):
    ones = np.ones((2, 1), BFLOAT16)
    # Neighbours of bfloat16 are 2 apart at 256, and 256 and 260 end in an even digit. The largest one is 3.3895e38.
    a = np.array([[256, 1], [258, 1], [258, 1.5], [-256, -1], [3.39e38, 1e36], [-3.39e38, -1e36]], BFLOAT16)
    want = np.array([[256], [260], [260], [-256], [np.inf], [-np.inf]], np.float32)
    x, w = np.ascontiguousarray(a.T).reshape(2, 1, 6, 1), ones.reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(run(backend, ops.gemm, a, ones).astype(np.float32), want)
    np.testing.assert_array_equal(run(backend, ops.conv2d, x, w).astype(np.float32).ravel(), want.ravel())


def test_nan_passes_through_relu_and_mask(backend):
    x = np.zeros((1, 2, 2, 2), BFLOAT16)
    x[0, 0, 0, 1] = np.nan
    w = np.ones((1, 1, 1, 3), BFLOAT16)
    plain = {"stride": 1, "pad": 0, "groups": 1, "ceil_mode": False}
    dy = run(backend, ops.conv2d, x, w, relu=True)
    mask = np.full(x.shape, np.nan, BFLOAT16)
    dx = run(backend, ops.conv2d_dgrad, dy, w, x.shape, **plain, relu_y=mask)
    dw = run(backend, ops.conv2d_wgrad, x, dy, w.shape, **plain)
    db = run(backend, ops.bias_grad, dy)
    c = run(backend, ops.gemm, np.full((1, 1), np.nan, BFLOAT16), np.ones((1, 1), BFLOAT16), relu=True)
    y = dy.astype(np.float32)
    assert np.isnan(y[:, 0, 0, 1]).all() and np.isnan(y).sum() == 3
    assert np.isnan(dx[0, 0, 0, 1].astype(np.float32)) and (dx[0, 1].astype(np.float32) == 0).all()
    assert np.isnan(dw).all() and np.isnan(db).all() and np.isnan(c.astype(np.float32)).all()
