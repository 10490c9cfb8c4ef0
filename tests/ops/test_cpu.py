"""What is special about the CPU backend: chunks, threads, bounded memory, and its shortcuts around slow NumPy."""

import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import oracle
import pytest
from tables import DTYPES, drawn, parameters

from alexnet_cuda.checks.runner import check_case
from alexnet_cuda.ops import cpu
from alexnet_cuda.ops._cpu import chunks, columns, conv, gemm, lrn, parallel, pointwise

CHUNKED = (
    "conv2d", "conv2d_dgrad", "conv2d_wgrad", "bias_grad", "gemm", "lrn", "lrn_backward", "lrn_within_channel",
    "lrn_within_channel_backward", "max_pool", "max_pool_backward", "avg_pool", "avg_pool_backward", "relu",
    "relu_backward", "add", "dropout", "sgd_momentum", "augment",
)  # fmt: skip


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Chunks so small that ordinary cases have many, with boundaries in every axis."""
    for module in (chunks, conv, gemm, lrn, pointwise):
        monkeypatch.setattr(module, "CHUNK", 60)
    monkeypatch.setattr(columns, "COLUMN_BYTES", 1)
    monkeypatch.setattr(columns, "FEWEST_COLUMNS", 20)
    monkeypatch.setattr(columns, "SPLIT_BYTES", 1)
    monkeypatch.setattr(conv, "DX_BYTES", 1000)
    monkeypatch.setenv(parallel.VARIABLE, "2")


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize(("operation", "case"), parameters(*CHUNKED, large=False))
def test_results_do_not_depend_on_where_chunks_end(tiny_chunks, operation, case, dtype):
    for values in ("integers", "normal"):
        for row in check_case(operation, case, values, "cpu", dtype):
            assert row.passed, str(row)


@pytest.mark.parametrize(("operation", "case"), parameters(*CHUNKED, large=False))
def test_any_number_of_threads_gives_the_same_bits(tiny_chunks, monkeypatch, operation, case):
    arguments = drawn(operation, case, "normal")
    results = {}
    for threads in ("1", "2", "5"):
        monkeypatch.setenv(parallel.VARIABLE, threads)
        got = operation.run(arguments.cast(DTYPES["float32"]))
        results[threads] = [array.tobytes() for array in got]
    assert results["1"] == results["2"] == results["5"]


def test_chunks_and_threads_are_really_many(tiny_chunks, monkeypatch):
    """Otherwise the two tests above would show nothing."""
    seen = []
    ran = parallel.run
    monkeypatch.setattr(parallel, "run", lambda work, chunks: seen.append(len(c := list(chunks))) or ran(work, c))
    x = np.ones((4, 9, 9, 7), np.float32)
    cpu.relu(x, out=x)
    cpu.lrn(x, size=5, alpha=1e-4, beta=0.75, k=2.0, groups=2, out=x.copy())
    cpu.max_pool(x, size=(3, 3), stride=(2, 2), pad=(0, 0), out=x[:, :4, :4].copy(), arg=None)
    y = np.empty((7, 7, 7, 7), np.float32)
    cpu.conv2d(x, x[:, :3, :3], None, stride=(1, 1), pad=(0, 0), groups=1, relu=False, out=y)
    assert min(seen) > 1
    assert len(seen) == 3 + 7 * 4  # each of the 7 rows of outputs in 4 boxes of at most 20 columns of the matrix


def test_boxes_cover_every_output_once():
    for images, most in ((1, None), (7, None), (257, None), (257, 100), (40, 1)):
        for rows_of_columns in (1, 363, 1 << 14, 1 << 20):
            image, filters, outputs = np.empty((1, 13, 9, images)), np.empty((1, 3, 3, 1)), np.empty((1, 13, 9, images))
            windows = columns.Windows.of(image, filters, outputs, (1, 1), (1, 1))
            count = np.zeros((1, 13, 9, images), np.int64)
            flat = np.arange(count.size).reshape(count.shape)
            for box in windows.boxes(images, rows_of_columns, 4, most):
                box.of(count)[...] += 1
                assert np.prod(box.shape) <= max(columns.COLUMN_BYTES // 4 // rows_of_columns, columns.FEWEST_COLUMNS)
                matrix = box.matrix(flat)
                assert matrix is None or (matrix.ravel() == box.of(flat).ravel()).all()
            assert (count == 1).all()


PASSES = {
    "conv2d": lambda a: cpu.conv2d(a["x"], a["w"], a["b"], relu=True, out=a["y"], **a["windows"]),
    "conv2d_dgrad": lambda a: cpu.conv2d_dgrad(a["y"], a["w"], a["x"], out=a["dx"], **a["windows"]),
    "conv2d_wgrad": lambda a: cpu.conv2d_wgrad(a["x"], a["y"], out=a["dw"], **a["windows"]),
}


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("name", PASSES)
def test_convolution_memory_does_not_grow_with_the_minibatch(monkeypatch, name, dtype):
    """Like AlexNet's conv2, but smaller, with limits that are smaller still."""
    monkeypatch.setattr(chunks, "CHUNK", chunks.CHUNK >> 8)
    monkeypatch.setattr(columns, "COLUMN_BYTES", columns.COLUMN_BYTES >> 5)
    monkeypatch.setattr(conv, "DX_BYTES", conv.DX_BYTES >> 11)
    peaks = [_peak(PASSES[name], _conv2(images, DTYPES[dtype])) for images in (32, 256)]
    whole_matrix = 3 * 5 * 5 * 13 * 13 * 256 * 4  # what a plain im2col takes for one group
    assert max(peaks) < 2 * columns.COLUMN_BYTES < whole_matrix / 10


def _conv2(images, dtype):
    rng = np.random.default_rng(images)
    return {
        "x": rng.standard_normal((6, 13, 13, images)).astype(dtype),
        "w": rng.standard_normal((3, 5, 5, 16)).astype(dtype),
        "b": rng.standard_normal(16).astype(np.float32),
        "y": np.ones((16, 13, 13, images), dtype),
        "dx": np.ones((6, 13, 13, images), dtype),
        "dw": np.ones((3, 5, 5, 16), np.float32),
        "windows": {"stride": (1, 1), "pad": (2, 2), "groups": 2},
    }


def _peak(function, arguments):
    function(arguments)  # starts the threads
    tracemalloc.start()
    try:
        function(arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", ((3, 3), (17, 16)))
def test_max_pool_of_hostile_numbers(size):
    """NaN, infinities and ties in one tensor: the slower comparison that NaN asks for, 8 and 16 bit positions."""
    rng = np.random.default_rng(5)
    x = rng.choice([np.nan, -np.inf, np.inf, 0.0, 1.0], (5, 35, 34, 4), p=[0.01, 0.55, 0.01, 0.23, 0.2])
    x[:2] = -np.inf
    x[2] = np.where(np.isnan(x[2]), 0, x[2])
    want, want_arg = oracle.max_pool(x, size=size, stride=2, pad=1)
    y, arg = np.empty(want.shape, np.float32), np.empty(want.shape, want_arg.dtype)
    cpu.max_pool(x.astype(np.float32), size=size, stride=(2, 2), pad=(1, 1), out=y, arg=arg)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(arg, want_arg)
    assert np.isnan(y).any() and not np.isnan(y[2]).any()


def test_max_pool_backward_of_infinite_gradients(tiny_chunks):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((3, 9, 9, 4))
    _, arg = oracle.max_pool(x, size=3, stride=2)
    dy = rng.choice([np.inf, -1.0, 2.0], arg.shape)
    dx = np.empty(x.shape, np.float32)
    cpu.max_pool_backward(dy.astype(np.float32), arg, size=(3, 3), stride=(2, 2), pad=(0, 0), out=dx)
    np.testing.assert_array_equal(dx, oracle.max_pool_backward(dy, arg, x.shape, size=3, stride=2))


@pytest.mark.parametrize("beta", (0.0, 0.5, 0.75, 1.0, 1.9))
@pytest.mark.parametrize("size", (1, 2, 5, 9))
def test_lrn_of_any_exponent(size, beta):
    """0.75 goes by square roots, the rest by a power; windows may be even, and wider than a group."""
    rng = np.random.default_rng(7)
    x, dy = rng.standard_normal((2, 12, 5, 4, 3))
    given = {"size": size, "alpha": 0.3, "beta": beta, "k": 1.5}
    y, dx = np.empty(x.shape), np.empty(x.shape)
    cpu.lrn(x, groups=2, out=y, **given)
    cpu.lrn_backward(x, dy, groups=2, out=dx, **given)
    np.testing.assert_allclose(y, oracle.lrn(x, groups=2, **given), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, oracle.lrn_backward(x, dy, groups=2, **given), rtol=1e-12, atol=1e-12)


def test_lrn_of_huge_numbers_does_not_overflow_early():
    """scale^0.75 by square roots must not go through scale^1.5."""
    x = np.full((1, 1, 1, 1), 1e18, np.float32)
    y = np.empty_like(x)
    cpu.lrn(x, size=1, alpha=1.0, beta=0.75, k=1.0, groups=1, out=y)
    np.testing.assert_allclose(y, 1e18 / 1e36**0.75, rtol=1e-6)


@pytest.mark.parametrize("text", ("", "0", "-1", "two", "1.5", "²"))
def test_a_wrong_number_of_threads_is_refused(monkeypatch, text):
    monkeypatch.setenv(parallel.VARIABLE, text)
    with pytest.raises(ValueError, match=f"^ALEXNET_THREADS: got '{text}', wanted a whole number of at least 1") as e:
        parallel.threads()
    assert "\n" not in str(e.value)


def test_threads_are_the_cpus_this_process_may_use(monkeypatch):
    monkeypatch.delenv(parallel.VARIABLE, raising=False)
    assert 1 <= parallel.threads() <= os.cpu_count()
    monkeypatch.setenv(parallel.VARIABLE, "3")
    assert parallel.threads() == 3


def test_chunks_run_in_so_many_threads_at_once(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "3")
    together = threading.Barrier(3, timeout=30)  # breaks unless three chunks are worked on at once
    parallel.run(lambda chunk, scratch: together.wait(), range(3))


def test_one_thread_works_in_the_caller(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "1")
    names = []
    parallel.run(lambda chunk, scratch: names.append(threading.current_thread()), range(4))
    assert names == [threading.current_thread()] * 4


def test_a_failing_chunk_is_reported_and_stops_the_rest(monkeypatch):
    for threads in ("1", "2"):
        monkeypatch.setenv(parallel.VARIABLE, threads)
        done = []

        def work(chunk, scratch, done=done):
            if chunk == 3:
                raise RuntimeError("chunk 3")
            done.append(chunk)

        with pytest.raises(RuntimeError, match="chunk 3"):
            parallel.run(work, range(100_000))
        assert len(done) < 100_000 - 1


def test_a_chunk_may_run_chunks(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "2")
    done = []

    def outer(chunk, scratch):
        here = threading.current_thread()
        parallel.run(lambda inner, _: done.append((chunk, inner, threading.current_thread() is here)), range(3))

    parallel.run(outer, range(4))
    assert sorted(done) == [(i, j, True) for i in range(4) for j in range(3)]


def test_several_callers_share_the_threads(tiny_chunks, monkeypatch):
    asked = []
    start = parallel._pool.start
    monkeypatch.setattr(parallel._pool, "start", lambda helpers, work: asked.append(helpers) or start(helpers, work))
    x = np.random.default_rng(8).standard_normal((64, 1000))
    results = [np.empty(64) for _ in range(6)]
    callers = [threading.Thread(target=cpu.bias_grad, args=(x,), kwargs={"out": out}) for out in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
        assert not caller.is_alive()
    assert asked == [1] * 6
    assert all((result == results[0]).all() for result in results)
    np.testing.assert_allclose(results[0], x.sum(axis=1))


def test_without_threads_to_be_had_the_caller_does_it_all(monkeypatch):
    def refuses(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setenv(parallel.VARIABLE, "3")
    monkeypatch.setattr(parallel.ThreadPoolExecutor, "submit", refuses)
    done = []
    parallel.run(lambda chunk, _: done.append(chunk), range(20))
    assert done == list(range(20))


def test_operations_outlive_the_main_thread():
    code = """
import threading
import numpy as np
from alexnet_cuda import ops
ops.relu(np.ones(3, np.float32))  # loads the backend, which uses no threads for so little
x = np.full((1 << 20,), -1.0, np.float32)
def late():
    threading.main_thread().join()
    print(ops.relu(x).max())
threading.Thread(target=late).start()
"""
    environment = {**os.environ, parallel.VARIABLE: "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0.0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "2")
    together = threading.Barrier(2, timeout=30)
    parallel.run(lambda chunk, scratch: together.wait(), range(2))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            together = threading.Barrier(2, timeout=30)
            parallel.run(lambda chunk, scratch: together.wait(), range(2))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nan_and_infinity_pass_without_warnings(recwarn):
    x = np.full((4, 5, 5, 2), np.inf, np.float32)
    x[0] = np.nan
    x[1, 2:] = -np.inf
    out = np.empty_like(x)
    cpu.lrn_backward(x, x, size=5, alpha=1e-4, beta=0.75, k=2.0, groups=1, out=out)
    cpu.lrn(x, size=5, alpha=1e-4, beta=0.9, k=2.0, groups=1, out=out)
    cpu.conv2d(x, -x[:, :3, :3], None, stride=(1, 1), pad=(1, 1), groups=1, relu=True, out=out[:2].copy())
    cpu.avg_pool(x, size=(2, 2), stride=(1, 1), pad=(0, 0), out=out[:, :4, :4].copy())
    assert not recwarn.list
