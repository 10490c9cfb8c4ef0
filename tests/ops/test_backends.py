"""Level 1 and 2 for every backend but the reference: the case tables in all dtypes, through the public functions."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tables import COMPOSITIONS, DTYPES, OPERATIONS, SEED, kernel_parameters, parameters

from alexnet_cuda import DeviceError, config, ops
from alexnet_cuda.checks.runner import VALUES, check_case
from alexnet_cuda.ops import backends, kernels


def assert_rows(rows):
    failures = [f"{row.output}: {row.message}" for row in rows if not row.passed]
    assert not failures, failures


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", parameters())
def test_cpu_in_float32(operation, case, values):
    assert_rows(check_case(operation, case, values, "cpu", "float32", SEED))


@pytest.mark.parametrize("dtype", ("float64", "bfloat16"))
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", parameters(large=False))
def test_cpu_in_other_dtypes(operation, case, values, dtype):
    assert_rows(check_case(operation, case, values, "cpu", dtype, SEED))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case, dtype", kernel_parameters())
def test_emulated_kernels(operation, case, dtype, values):
    assert_rows(check_case(operation, case, values, "emulated", dtype, SEED))


@pytest.mark.gpu
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case, dtype", kernel_parameters())
def test_cuda_kernels(operation, case, dtype, values):
    assert_rows(check_case(operation, case, values, "cuda", dtype, SEED))


@pytest.mark.parametrize("backend", ("reference", "cpu", "emulated"))
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("count", (1, 3, 4, 5, 7, 8, 9, 1000))
def test_kernels_write_every_element_and_no_other(backend, count, dtype):
    """Results start as NaN between canaries: NaN left over or a canary gone means a stray or a missing store."""
    x = np.linspace(-1, 1, count).astype(DTYPES[dtype])
    for offset in range(9):  # of the result's address, against the 16 bytes that vector stores want
        buffer = np.full(count + 24, np.nan, DTYPES[dtype])
        buffer[: 8 + offset] = buffer[8 + offset + count :] = 77
        with ops.backend(backend):
            ops.relu(x, out=buffer[8 + offset :][:count])
        np.testing.assert_array_equal(buffer[8 + offset :][:count], np.maximum(x, 0))
        assert (buffer[: 8 + offset] == 77).all()
        assert (buffer[8 + offset + count :] == 77).all()


class TestRegistry:
    def test_backends_nest_and_end_with_their_block(self):
        assert backends.chosen(on_gpu=False) == "cpu"
        with ops.backend("reference"):
            with ops.backend("emulated"):
                assert backends.chosen(on_gpu=False) == "emulated"
            assert backends.chosen(on_gpu=False) == "reference"
        assert backends.chosen(on_gpu=False) == "cpu"

    def test_a_block_that_raises_ends_too(self):
        with pytest.raises(KeyError), ops.backend("reference"):
            raise KeyError
        assert backends.chosen(on_gpu=False) == "cpu"

    @pytest.mark.parametrize(
        "name, says", [("gpu", "got 'gpu', wanted one of reference, cpu, emulated"), ("cuda", "pass CuPy arrays")]
    )
    def test_unknown_names(self, name, says):
        with pytest.raises(ValueError, match=says), ops.backend(name):
            pass

    def test_an_operation_without_a_kernel_is_named(self, monkeypatch):
        monkeypatch.setattr(backends, "load", lambda name: object())
        says = "conv2d: backend 'emulated' has no kernel for it yet; use with ops.backend"
        x = np.ones((1, 1, 1, 1), np.float32)
        with pytest.raises(NotImplementedError, match=says), ops.backend("emulated"):
            ops.conv2d(x, x)

    def test_kernels_name_the_dtypes_they_lack(self):
        says = "relu: backend 'emulated' computes in float32 and bfloat16, got float64"
        with pytest.raises(TypeError, match=says), ops.backend("emulated"):
            ops.relu(np.ones(3))
        says = "sgd_momentum: backend 'emulated' computes in float32, got float64; use x.astype"
        with pytest.raises(TypeError, match=says), ops.backend("emulated"):
            ops.sgd_momentum(np.ones(3), np.ones(3), np.ones(3), lr=1, momentum=0, weight_decay=0)

    def test_every_cpu_backend_has_every_operation(self):
        for name in ("reference", "cpu"):
            assert [op for op in set(OPERATIONS) - set(COMPOSITIONS) if not hasattr(backends.load(name), op)] == []

    def test_cuda_says_why_it_cannot_run_here(self):
        if config.cuda_problem() is None:
            pytest.skip("this machine has a GPU")
        with pytest.raises(DeviceError, match="fix: "):
            backends.load("cuda")

    @pytest.mark.parametrize("name", ("emulated", "cuda"))
    def test_a_package_that_is_not_compiled_says_so(self, name, monkeypatch):
        monkeypatch.setattr(config, "load", lambda module: (None, "the package is not compiled; fix: pip install ."))
        with pytest.raises(DeviceError, match="the package is not compiled; fix: pip install ."):
            backends._load(name)


class TestThreads:
    """What is made at first use is made once, however many begin together."""

    def at_once(self, call, count=8):
        barrier = threading.Barrier(count)

        def begin(_):
            barrier.wait(timeout=60)
            return call()

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(begin, range(count)))

    def slow(self, call):
        def called(*args, **kwargs):
            time.sleep(0.05)
            return call(*args, **kwargs)

        return called

    def test_backends(self, monkeypatch):
        monkeypatch.setattr(backends, "_loaded", {})
        monkeypatch.setattr(kernels, "_loaded", [])
        monkeypatch.setattr(config, "load", self.slow(config.load))
        assert len(set(map(id, self.at_once(lambda: backends.load("emulated"))))) == 1
        assert len(kernels._loaded) == 1

    def test_status_words(self, monkeypatch):
        mine = kernels.Kernels(config.load("_emulated")[0], "emulated")
        monkeypatch.setattr(mine, "_full", self.slow(mine._full))
        assert len(set(self.at_once(mine._status))) == 1

    def test_status_words_that_come_while_others_are_read(self, monkeypatch):
        mine = kernels.Kernels(config.load("_emulated")[0], "emulated")
        mine._status()
        read = mine._read

        def read_and_add(device, status):
            mine._statuses[device + 1] = status
            return read(device, status)

        monkeypatch.setattr(mine, "_read", read_and_add)
        mine.check_status()
        assert len(mine._statuses) == 2


class TestWorkspace:
    def test_numpy_needs_none(self):
        shapes = ((96, 27, 27, 128), (256, 27, 27, 128), (48, 5, 5, 256))
        for backend in ("reference", "cpu"):
            assert ops.workspace_bytes("conv2d_wgrad", *shapes, dtype="float32", backend=backend) == 0

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="got 'relu', wanted one of bias_grad, conv2d_wgrad, .*, gemm, gemm_sgd"):
            ops.workspace_bytes("relu", (3,), dtype="float32", backend="cpu")
        with pytest.raises(ValueError, match="got backend 'gpu'"):
            ops.workspace_bytes("gemm", (3, 3), (3, 3), dtype="float32", backend="gpu")

    @pytest.mark.parametrize("backend", backends.BACKENDS)
    @pytest.mark.parametrize(
        "op, shapes",
        [
            ("bias_grad", ((2, 3), (0,))),
            ("bias_grad", ((2, 3), (3,))),
            ("bias_grad", ((2, 3, 4), (2,))),
            ("bias_grad", ((2, 3), 2)),
            ("bias_grad", ((2, 10**30), (2,))),
            ("gemm", (5, 6, 7)),
            ("gemm", ((2, 3), (7, 4), (2, 4))),
            ("gemm", ((6, 4), (8, 1), (3, 1))),
            ("gemm", ((2, 3, 1), (3, 4), (2, 4))),
            ("gemm", ((2, -3), (-3, 4), (2, 4))),
            ("gemm", ((2, 3.0), (3, 4), (2, 4))),
            ("conv2d_wgrad", ((3,), (4,), (3,))),
            ("conv2d_wgrad", ((4, 8, 8, 2), (6, 8, 8, 2), (3, 3, 3, 6))),
            ("conv2d_wgrad", ((4, 8, 8, 2), (6, 8, 8, 2), (4, 3, 3, 5))),
            ("conv2d_wgrad", ((4, 8, 8, 2), (6, 8, 8, 3), (4, 3, 3, 6))),
            ("conv2d_wgrad_db", ((4, 8, 8, 2), (6, 8, 8, 3), (4, 3, 3, 6))),
            ("conv2d_wgrad_sgd", ((4, 8, 8, 2), (6, 8, 8, 2), (4, 3, 3, 5))),
            ("gemm_sgd", ((4, 3), (5, 2), (4, 5))),
            ("gemm_sgd", ((4, 3), (5, 3), (5, 4))),
        ],
    )
    def test_shapes_that_no_call_could_have(self, op, shapes, backend):
        with pytest.raises(ValueError, match=f"workspace_bytes: got the shapes .* for {op}, which do not fit"):
            ops.workspace_bytes(op, *shapes, dtype="float32", backend=backend)

    @pytest.mark.parametrize("a", ((2, 3), (3, 2)))
    @pytest.mark.parametrize("b", ([3, 4], np.array((4, 3))))
    def test_factors_may_be_transposed(self, a, b):
        assert ops.workspace_bytes("gemm", a, b, (2, 4), dtype="float32", backend="emulated") == 0
