"""Streams of emulated devices: what is queued runs late, in order, and on the memory of its device."""

import gc
import threading
import weakref

import numpy as np
import pytest

from alexnet_cuda import config, ops
from alexnet_cuda.errors import DeviceError
from alexnet_cuda.ops import emulated

X = np.array([-1, 2, -3, 4, -5], np.float32)


@pytest.fixture(autouse=True)
def _emulated():
    with ops.backend("emulated"):
        yield


def on(stream, host):
    array = stream.empty(host.shape, host.dtype)
    stream.copy(array, host.copy())
    return array


def fetched(stream, array):
    host = np.empty(array.shape, array.dtype)
    stream.copy(host, array)
    stream.synchronize()
    return host


def test_operations_are_queued_until_somebody_waits():
    stream = emulated.Stream(0)
    x = on(stream, X)
    with stream.use():
        y = ops.relu(x)
    assert np.isnan(x).all() and np.isnan(y).all()
    stream.synchronize()
    np.testing.assert_array_equal(y, np.maximum(X, 0))


def test_outside_of_a_stream_they_run_at_once():
    np.testing.assert_array_equal(ops.relu(X), np.maximum(X, 0))


@pytest.mark.parametrize("seed", range(3))
def test_arrays_live_until_the_work_has_run(seed):
    """Arguments, results and workspaces that nobody else holds; memory is not handed out again meanwhile."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((64, 4096), np.float32), rng.standard_normal((4096, 16), np.float32)
    wanted = ops.gemm(a, b)
    stream, host = emulated.Stream(1), np.empty_like(wanted)

    def queue():
        with stream.use():
            stream.copy(host, ops.gemm(on(stream, a), on(stream, b)))

    queue()
    gc.collect()
    emulated.empty((1 << 20,), np.uint8)
    stream.synchronize()
    np.testing.assert_array_equal(host, wanted)


def test_arrays_are_let_go_inside_of_a_long_block():
    stream = emulated.Stream(0)
    x = on(stream, X)
    with stream.use():
        y = weakref.ref(ops.relu(x))
        gc.collect()
        assert y() is not None
        stream.synchronize()
        gc.collect()
        assert y() is None


def test_two_threads_with_a_stream_each():
    """Arrays are let go by whoever runs the work, while the other thread queues, waits or makes streams."""
    wrong = []

    def work(device):
        with ops.backend("emulated"):
            for _ in range(100):
                stream = emulated.Stream(device)
                with stream.use():
                    y = ops.relu(on(stream, X))
                if not np.array_equal(fetched(stream, y), np.maximum(X, 0)):
                    wrong.append(device)

    threads = [threading.Thread(target=work, args=(device,), daemon=True) for device in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads) and not wrong


def test_an_event_orders_two_streams():
    for order in ("forward", "reverse", "random:3"):
        first, second = emulated.Stream(0), emulated.Stream(1)
        x, y = on(first, X), second.empty(X.shape, X.dtype)
        with first.use():
            ops.relu(x, out=x)
        second.wait(first.record())
        second.copy(y, x)
        with emulated.schedule(order):
            np.testing.assert_array_equal(fetched(second, y), np.maximum(X, 0), err_msg=order)


def test_without_it_some_order_is_wrong():
    first, second = emulated.Stream(0), emulated.Stream(1)
    x, y = on(first, X), second.empty(X.shape, X.dtype)
    with first.use():
        ops.relu(x, out=x)
    second.copy(y, x)
    with emulated.schedule("reverse"):
        assert np.isnan(fetched(second, y)).all()


def test_orders_nest(monkeypatch):
    """Seen in what two streams do that nothing orders: the copy finds the result only if it comes second."""
    monkeypatch.setenv("ALEXNET_EMULATOR_SCHEDULE", "forward")

    def copy_comes_first():
        first, second = emulated.Stream(0), emulated.Stream(1)
        x, y = on(first, X), second.empty(X.shape, X.dtype)
        second.copy(y, x)
        result = bool(np.isnan(fetched(second, y)).all())
        first.synchronize()
        return result

    assert not copy_comes_first()
    with emulated.schedule("reverse"):
        assert copy_comes_first()
        with emulated.schedule("forward"):
            assert not copy_comes_first()
        assert copy_comes_first()
        with pytest.raises(RuntimeError, match="sideways"), emulated.schedule("sideways"):
            pass
        assert copy_comes_first()
    assert not copy_comes_first()


@pytest.mark.parametrize("queue", ["relu", "max_pool_backward", "dropout"])
def test_what_is_queued_is_not_looked_into(queue):
    """Arrays that hold nonsense until the work before has run."""
    stream = emulated.Stream(0)
    x = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    pool = {"size": 2, "stride": 2, "pad": 0, "ceil_mode": False}

    def run(at):
        array = at(x)
        if queue == "relu":
            return ops.relu(array)
        if queue == "dropout":
            return ops.dropout(array, keep=0.5, seed=1, step=at(np.array([-7 & 0xFFFFFFFF], np.uint32)), layer=0)
        y, arg = ops.max_pool(array, **pool)
        return ops.max_pool_backward(y, arg, x.shape, **pool)

    wanted = run(lambda host: host)
    with stream.use():
        got = run(lambda host: on(stream, host))
    np.testing.assert_array_equal(fetched(stream, got), wanted)


@pytest.mark.parametrize("op", ["from_nchw", "to_nchw", "min_pool"])
def test_what_numpy_would_do_too_early_is_refused(op):
    stream = emulated.Stream(0)
    x = on(stream, np.ones((2, 3, 3, 2), np.float32))
    with stream.use(), pytest.raises(NotImplementedError, match=f"{op}: cannot be queued on a stream"):
        getattr(ops, op)(x)
    stream.synchronize()


def loss_on(stream, labels):
    logits = on(stream, np.zeros((3, len(labels)), np.float32))
    with stream.use():
        return ops.softmax_cross_entropy(logits, on(stream, np.array(labels, np.int32)), topk=(1,))


@pytest.mark.parametrize("order", ["forward", "reverse"])
@pytest.mark.parametrize("other", [0, 1])
def test_bad_data_are_noted_on_the_device(order, other):
    first, second = emulated.Stream(0), emulated.Stream(other)
    loss_on(first, [0, 1])
    loss_on(second, [0, 9])
    with emulated.schedule(order), pytest.raises(ValueError, match="got 9 for image 1, wanted 0 to 2"):
        ops.check_status()  # waits for both
    ops.check_status()


@pytest.mark.parametrize("order", ["forward", "reverse", "random:1"])
def test_streams_of_one_device_do_not_share_scratch_memory(order):
    streams = [emulated.Stream(0), emulated.Stream(0)]
    with emulated.schedule(order):
        results = [loss_on(stream, [0] * 20) for stream in streams]
        for stream, (loss, correct, _) in zip(streams, results, strict=True):
            assert fetched(stream, loss) == pytest.approx(np.log(3), rel=1e-5) and fetched(stream, correct)[0] == 20


def test_wrong_device_and_work_after_it():
    stream, other = emulated.Stream(0), emulated.Stream(1)
    x = on(other, X)
    with stream.use():
        ops.relu(x)
    says = r"argument 1 points to the float32 array \[5\] of emulated:1, and the kernel runs on emulated:0"
    with pytest.raises(DeviceError, match=says):
        stream.synchronize()
    assert fetched(stream, loss_on(stream, [0] * 20)[1])[0] == 20


def test_a_kernel_that_runs_at_once_has_no_device():
    stream = emulated.Stream(0)
    x = on(stream, X)
    stream.synchronize()
    with pytest.raises(RuntimeError, match="of emulated:0, and the kernel runs on no device"):
        ops.relu(x)


def test_a_write_past_the_end():
    module, _ = config.load("_emulated")
    x, y = emulated.copied(np.ones(300, np.float32)), emulated.empty((299,), np.float32)
    with pytest.raises(RuntimeError, match=r"wrote past the end of the float32 array \[299\]"):
        module.relu_forward(x.ctypes.data, y.ctypes.data, 300, "float32", (emulated.NO_DEVICE, 0))


def test_copies():
    stream = emulated.Stream(0)
    x = on(stream, X)
    with pytest.raises(ValueError, match=r"copy: got the float32 array \[4\], wanted one like the float32 array \[5\]"):
        stream.copy(x, X[1:])
    with pytest.raises(ValueError, match="with gaps"):
        stream.copy(x, np.ones(10, np.float32)[::2])
    host = np.empty_like(X)
    for array in (np.float64(X), X.astype(np.int32)):
        with pytest.raises(ValueError, match="wanted one like"):
            stream.copy(host, array)
    assert emulated.owner(x) == 0 and emulated.owner(emulated.empty((1,), np.int8)) == emulated.NO_DEVICE
    assert emulated.owner(X) is None


def test_an_order_that_is_none():
    with (
        pytest.raises(RuntimeError, match="got 'sideways', wanted forward, reverse, random"),
        emulated.schedule("sideways"),
    ):
        pass


@pytest.mark.parametrize(
    "device, kind, says",
    [
        (-1, ValueError, "got -1, wanted at least 0"),
        (99999999999, ValueError, "got 99999999999, wanted at most 63"),
        ("0", TypeError, "got '0', wanted an integer"),
    ],
)
def test_devices_that_are_none(device, kind, says):
    with pytest.raises(kind, match=f"Stream: argument 'device': {says}"):
        emulated.Stream(device)


def test_arrays_that_cannot_be():
    with pytest.raises(ValueError, match="empty: argument 'shape': got -1, wanted at least 0"):
        emulated.empty((-1, 3), np.float32)
    with pytest.raises(TypeError, match="empty: argument 'shape': got 2.5, wanted an integer"):
        emulated.Stream(0).empty((2.5,), np.float32)
    for dtype in (object, np.dtype([("a", object), ("b", np.int8)])):
        with pytest.raises(TypeError, match="empty: argument 'dtype': got .*, wanted one without Python objects"):
            emulated.empty((3,), dtype)
        with pytest.raises(TypeError, match="wanted one without Python objects"):
            emulated.copied(np.zeros(3, dtype))
