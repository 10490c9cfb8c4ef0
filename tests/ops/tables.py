"""The package's case tables as pytest parameters."""

import numpy as np
import pytest

from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.runner import DTYPES
from alexnet_cuda.checks.table import Arguments, Operation, generator
from alexnet_cuda.ops import backends

SEED = 0


def is_large(case: object) -> bool:
    """AlexNet's own layers: right for one run each, too slow to be repeated for every property."""
    return any(case.name.startswith(net) for net in ("alexnet_", "vgg16"))  # type: ignore[attr-defined]


def parameters(*names: str, large: bool = True) -> list:
    """(operation, case) for the operations named, or all of them."""
    return [
        pytest.param(operation, case, id=f"{operation.name}-{case.name}")
        for operation in (OPERATIONS[name] for name in names or OPERATIONS)
        for case in operation.cases
        if large or not is_large(case)
    ]


# Operations with two families of kernels in bfloat16; tests/kernels/test_bfloat16_products.py runs both.
PRODUCTS = (
    "conv2d", "conv2d_dgrad", "conv2d_wgrad", "conv2d_wgrad_db", "conv2d_wgrad_sgd", "bias_grad", "gemm", "gemm_sgd",
)  # fmt: skip


# Operations that call another one's kernels.
COMPOSITIONS = ("min_pool", "global_avg_pool")


def kernel_parameters(dtypes: tuple[str, ...] = ("float32", "bfloat16"), large: bool = True) -> list:
    """(operation, case, dtype) for the operations with a kernel; products in float32 only."""
    kernels = backends.load("emulated")
    names = (name for name in OPERATIONS if hasattr(kernels, name) or name in COMPOSITIONS)
    return [
        pytest.param(*parameter.values, dtype, id=f"{parameter.id}-{dtype}")
        for parameter in parameters(*names, large=large)
        for dtype in dtypes
        if dtype == "float32" or parameter.values[0].name not in PRODUCTS
    ]


def drawn(operation: Operation, case: object, values: str) -> Arguments:
    return operation.draw(case, generator(SEED, operation.name, case.name, values), values)  # type: ignore[attr-defined]


def assert_right(
    operation: Operation, case: object, values: str, kwargs: dict, got: tuple[np.ndarray, ...], want: tuple
) -> None:
    """Every result within its bound, or, on integers, equal; the message says how to run the case again."""
    exact = values == "integers" and operation.is_exact(kwargs)
    bounds = operation.bounds(kwargs, got)
    for name, g, w, bound in zip(operation.outputs, got, want, bounds, strict=True):
        if exact:  # the oracle's exact number, rounded once to the dtype of the result
            w, bound = w.astype(g.dtype), np.zeros(g.shape)
        result = compare(g, w, bound)
        where = f"{operation.name}.{name}, case {case.name!r}, {values}, seed {SEED}"  # type: ignore[attr-defined]
        assert result.passed, f"{where}: {result.message}, error {result.error:.3g}, bound {result.bound:.3g}"


__all__ = [
    "COMPOSITIONS",
    "DTYPES",
    "OPERATIONS",
    "PRODUCTS",
    "SEED",
    "assert_right",
    "drawn",
    "is_large",
    "kernel_parameters",
    "parameters",
]
