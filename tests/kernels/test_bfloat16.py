"""Kernels in bfloat16: arithmetic is in float32, and what is stored is rounded once, to nearest even.

So their results are those of the same kernels on the same numbers in float32, rounded: the very bits, which the error
bounds of the case tables, half a digit wider than the rounding itself, do not ask for.
"""

import numpy as np
import pytest
from tables import DTYPES, OPERATIONS, drawn, kernel_parameters

from alexnet_cuda import ops
from alexnet_cuda.checks.guard import Guarded, poison
from alexnet_cuda.checks.table import KEPT
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32


def in_float32(name, value):
    """An argument with the same numbers."""
    if isinstance(value, np.ndarray):
        return value.astype(FLOAT32) if value.dtype == BFLOAT16 and name not in KEPT else value.copy()
    return FLOAT32 if isinstance(value, np.dtype) else value


def assert_rounded_once(name, got, wide):
    got, wide = np.asarray(got), np.asarray(wide)
    with np.errstate(invalid="ignore"):  # NaN loses digits
        want = wide.astype(got.dtype)
    if got.dtype == BFLOAT16:  # whose NaN NumPy's testing does not know
        got, want = got.astype(FLOAT32), want.astype(FLOAT32)
    np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.mark.parametrize("operation, case, dtype", kernel_parameters(("bfloat16",)))
def test_results_are_those_of_float32_rounded_once(operation, case, dtype):
    kwargs = drawn(operation, case, "normal").cast(BFLOAT16)
    wide_kwargs = {name: in_float32(name, value) for name, value in kwargs.items()}
    with ops.backend("emulated"):
        got, wide = operation.run(kwargs), operation.run(wide_kwargs)
    assert BFLOAT16 in {result.dtype for result in got}
    for name, g, w in zip(operation.outputs, got, wide, strict=True):
        assert_rounded_once(name, g, w)


@pytest.mark.parametrize("name", ("relu", "tanh", "sigmoid", "scale", "softmax"))
def test_every_number_there_is(name):
    """All 65536: NaN of every kind, infinities, zeros, and those too small to be normal."""
    x = np.arange(1 << 16, dtype=np.uint16).view(BFLOAT16)
    options = {"scale": {"factor": 0.3}}.get(name, {})
    shape = (2, -1) if name == "softmax" else (-1,)
    with ops.backend("emulated"):
        got, wide = (getattr(ops, name)(numbers.reshape(shape), **options) for numbers in (x, x.astype(FLOAT32)))
    assert_rounded_once(name, got, wide)


# An operation and a case whose arrays are whole packs of 16 bytes, so that one at another address makes the difference.
WHOLE_PACKS = [
    ("relu", "256 elements"),
    ("relu_backward", "256 elements"),
    ("tanh", "256 elements"),
    ("tanh_backward", "256 elements"),
    ("scale", "256 elements"),
    ("lrn", "batch of 32"),
    ("lrn_backward", "batch of 32"),
    ("max_pool", "batch of 32"),
    ("max_pool_backward", "batch of 32"),
    ("avg_pool", "batch of 32"),
    ("avg_pool_backward", "batch of 32"),
    ("dropout", "batch of 32"),
]


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("name, case_name", WHOLE_PACKS)
def test_one_array_alone_at_an_odd_address(name, case_name, dtype):
    """It takes the general path, to the same bits. A wide load there faults, if only in the sanitizers' build."""
    operation = OPERATIONS[name]
    case = next(case for case in operation.cases if case.name == case_name)
    kwargs = drawn(operation, case, "normal").cast(DTYPES[dtype])
    arrays = {name: value for name, value in kwargs.items() if isinstance(value, np.ndarray)}
    with ops.backend("emulated"):
        want = operation.run(kwargs)
        for odd in (*arrays, *operation.outputs):
            given = {name: Guarded(value, int(name == odd)).array for name, value in arrays.items()}
            out = tuple(
                Guarded(poison(w.shape, w.dtype), int(output == odd)).array
                for output, w in zip(operation.outputs, want, strict=True)
            )
            got = operation.run({**kwargs, **given, "out": out if len(out) > 1 else out[0]})
            assert [g.tobytes() for g in got] == [w.tobytes() for w in want], odd
