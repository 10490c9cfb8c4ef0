"""Kernels on the emulator give the same bits in every order of threads and blocks, and on any number of CPU threads."""

import numpy as np
import pytest
from tables import OPERATIONS, drawn, parameters

from alexnet_cuda import ops
from alexnet_cuda.ops import backends
from alexnet_cuda.ops.arrays import FLOAT32

EMULATED = [name for name in OPERATIONS if hasattr(backends.load("emulated"), name)]
ORDERS = (("reverse", "1"), ("random:1", "1"), ("random:2", "2"), ("forward", "2"))


def bits(operation, case, monkeypatch, order, threads):
    monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", order)
    monkeypatch.setenv("ALEXNET_THREADS", threads)
    with ops.backend("emulated"):
        results = operation.run(drawn(operation, case, "normal").cast(FLOAT32))
    return [np.asarray(result).tobytes() for result in results]


@pytest.mark.parametrize("operation, case", parameters(*EMULATED, large=False))
def test_any_order_gives_the_same_bits(operation, case, monkeypatch):
    first = bits(operation, case, monkeypatch, "forward", "1")
    for order, threads in ORDERS:
        assert bits(operation, case, monkeypatch, order, threads) == first, (order, threads)
