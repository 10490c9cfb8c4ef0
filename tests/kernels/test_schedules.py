"""Kernels on the emulator give the same bits in every order of threads and blocks, and on any number of CPU threads."""

import numpy as np
import pytest
from tables import DTYPES, drawn, kernel_parameters

from alexnet_cuda import ops

ORDERS = (("reverse", "1"), ("random:1", "1"), ("random:2", "2"), ("forward", "2"))


def bits(operation, case, dtype, monkeypatch, order, threads):
    monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
    monkeypatch.setenv("ALEXNET_THREADS", threads)
    with ops.backend("emulated"):
        results = operation.run(drawn(operation, case, "normal").cast(DTYPES[dtype]))
    return [np.asarray(result).tobytes() for result in results]


@pytest.mark.parametrize("operation, case, dtype", kernel_parameters(large=False))
def test_any_order_gives_the_same_bits(operation, case, dtype, monkeypatch):
    first = bits(operation, case, dtype, monkeypatch, "forward", "1")
    for order, threads in ORDERS:
        assert bits(operation, case, dtype, monkeypatch, order, threads) == first, (order, threads)
