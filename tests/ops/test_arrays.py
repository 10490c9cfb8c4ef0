"""The gate: which arrays come in, and what is said to those that do not. Nothing is written before it has passed."""

import sys
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from alexnet_cuda import DeviceError, ops

X = np.zeros((4, 6, 5, 3), np.float32)
W = np.zeros((4, 3, 3, 8), np.float32)
PLAIN = {"stride": 1, "pad": 0, "groups": 1, "ceil_mode": False}


class Exporter:
    """Another library's array: memory reachable through DLPack alone."""

    def __init__(self, array, device=(1, 0), refusal=None):
        self._array, self._device, self._refusal = array, device, refusal

    def __dlpack__(self, **options):
        if self._refusal:
            raise self._refusal
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._device


class TestKinds:
    def test_dlpack_arrays_share_their_memory(self):
        x = np.array([-1.0, 2.0], np.float32)
        np.testing.assert_array_equal(ops.relu(Exporter(x)), [0, 2])
        out = Exporter(np.zeros(2, np.float32))
        assert ops.relu(x, out=out) is out
        np.testing.assert_array_equal(out._array, [0, 2])

    def test_numpy_subclasses_of_files_are_arrays(self, tmp_path):
        x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3,))
        x[:] = [-1, 0, 1]
        np.testing.assert_array_equal(ops.relu(x), [0, 0, 1])

    @pytest.mark.parametrize(
        "value, got",
        [([1.0, 2.0], "a list"), (3.0, "a float"), (None, "None"), (np.float32(3), "a float32"), ("x", "a str")],
    )
    def test_what_is_no_array(self, value, got):
        with pytest.raises(TypeError, match=f"relu: argument 'x': got {got}, wanted an array .*use np.asarray"):
            ops.relu(value)

    def test_masked_arrays_are_refused(self):
        with pytest.raises(TypeError, match="got a masked array"):
            ops.relu(np.ma.masked_array([1.0, 2.0], [0, 1]))

    def test_exporters_of_the_older_protocol_can_be_read_and_say_how_to_be_written(self):
        class Older(Exporter):
            def __dlpack__(self, stream=None):
                return self._array.__dlpack__()

        x = np.array([-1.0, 2.0], np.float32)
        np.testing.assert_array_equal(ops.relu(Older(x)), [0, 2])
        with pytest.raises(
            ValueError, match=r"'out': got a read-only array, .* pass it as a NumPy array, e.g. out.numpy"
        ):
            ops.relu(x, out=Older(np.zeros(2, np.float32)))

    def test_a_matrix_computes_as_an_array_and_comes_back_as_itself(self):
        with pytest.warns(PendingDeprecationWarning):
            x, out = np.matrix([[1.0, -2.0]], np.float32), np.matrix([[0.0, 0.0]], np.float32)
        assert type(ops.relu(x)) is np.ndarray
        assert ops.relu(x, out=out) is out
        assert out.tolist() == [[1, 0]]

    @pytest.mark.parametrize("value", (np.ndarray, Exporter))
    def test_a_class_is_no_array(self, value):
        with pytest.raises(TypeError, match="got a type, wanted an array"):
            ops.relu(value)

    def test_an_exporter_on_no_device_is_quoted(self):
        class Meta(Exporter):
            def __dlpack_device__(self):
                raise ValueError("Unknown device type meta for Dlpack")

        with pytest.raises(TypeError, match="refuses to share its memory .*device type meta"):
            ops.relu(Meta(X))

    def test_an_exporter_that_refuses_is_quoted(self):
        refusal = BufferError("Can't export tensors that require gradient")
        with pytest.raises(TypeError, match="refuses to share its memory .*require gradient.*detach"):
            ops.relu(Exporter(X, refusal=refusal))

    def test_other_devices_are_named(self):
        with pytest.raises(DeviceError, match=r"DLPack device \(10, 0\), wanted the host or CUDA"):
            ops.relu(Exporter(X, device=(10, 0)))

    @pytest.mark.parametrize(
        "array", [Exporter(X, device=(2, 0)), SimpleNamespace(__cuda_array_interface__={"version": 3})]
    )
    def test_gpu_arrays_without_cupy_say_what_to_install(self, array, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
        with pytest.raises(DeviceError, match=r"needs CuPy, which is not installed; pip install cupy-cuda13x"):
            ops.relu(array)


class TestDtypes:
    @pytest.mark.parametrize("dtype", (np.float16, np.int32, np.uint8, np.complex64, np.longdouble, bool))
    def test_only_the_floats_of_training(self, dtype):
        with pytest.raises(
            TypeError, match=r"got \w+, wanted float32 or bfloat16 or float64; use x.astype\('float32'\)"
        ):
            ops.relu(np.zeros(3, dtype))

    def test_foreign_byte_order(self):
        with pytest.raises(TypeError, match="'x': got float32 in foreign byte order, wanted float32"):
            ops.relu(np.zeros(3, ">f4"))

    def test_arguments_share_one_dtype(self):
        with pytest.raises(TypeError, match=r"conv2d: argument 'w': got float64, wanted float32; use w.astype"):
            ops.conv2d(X, W.astype(np.float64))

    def test_bfloat16_keeps_biases_and_weight_gradients_in_float32(self):
        x, w = X.astype(ml_dtypes.bfloat16), W.astype(ml_dtypes.bfloat16)
        y = ops.conv2d(x, w, np.zeros(8, np.float32))
        assert y.dtype == ml_dtypes.bfloat16
        assert ops.conv2d_wgrad(x, y, w.shape, **PLAIN).dtype == np.float32
        assert ops.bias_grad(y).dtype == np.float32
        with pytest.raises(TypeError, match="'b': got bfloat16, wanted float32"):
            ops.conv2d(x, w, np.zeros(8, ml_dtypes.bfloat16))

    def test_gemm_may_widen_its_result(self):
        a = np.ones((2, 2), ml_dtypes.bfloat16)
        assert ops.gemm(a, a, out_dtype=np.float32).dtype == np.float32
        with pytest.raises(TypeError, match="'out_dtype': got <class 'numpy.float64'>, wanted float32"):
            ops.gemm(a.astype(np.float32), a.astype(np.float32), out_dtype=np.float64)


class TestShapes:
    def test_number_of_dimensions(self):
        with pytest.raises(ValueError, match=r"'x': got \[4, 6, 5\], wanted shape \[C, H, W, N\]"):
            ops.conv2d(X[..., 0].copy(), W)

    def test_sizes_that_follow_from_other_arguments(self):
        with pytest.raises(ValueError, match=r"'b': got \[7\], wanted shape \[8\]"):
            ops.conv2d(X, W, np.zeros(7, np.float32))
        with pytest.raises(
            ValueError, match=r"'w': got shape \[4, 3, 3, 8\], wanted \[2, 3, 3, 8\] for 4 image channels in 2"
        ):
            ops.conv2d(X, W, groups=2)
        with pytest.raises(ValueError, match=r"'dy': got \[8, 4, 4, 3\], wanted shape \[8, 4, 3, 3\]"):
            ops.conv2d_dgrad(np.zeros((8, 4, 4, 3), np.float32), W, X.shape, **PLAIN)
        with pytest.raises(ValueError, match=r"'b': got shape \[4, 2\], wanted \[3, N\] to follow a"):
            ops.gemm(np.zeros((2, 3), np.float32), np.zeros((4, 2), np.float32))

    @pytest.mark.parametrize("groups, says", [(3, "got 3, wanted a divisor of the 4 channels"), (0, "got 0")])
    def test_groups_that_do_not_divide(self, groups, says):
        with pytest.raises(ValueError, match=f"'groups': {says}"):
            ops.conv2d(X, W, groups=groups)
        with pytest.raises(ValueError, match=f"'groups': {says}"):
            ops.lrn(X, groups=groups)

    @pytest.mark.parametrize("shape", ((0, 6, 5, 3), (4, 6, 5, 0)))
    def test_empty_arrays(self, shape):
        with pytest.raises(ValueError, match=r"'x': got the empty shape .*, wanted at least one element"):
            ops.lrn(np.zeros(shape, np.float32))

    @pytest.mark.parametrize("x_shape", ((4, 6, 5), (4, 6, 0, 3), "x", (4, 6, 5.0, 3)))
    def test_shapes_as_arguments(self, x_shape):
        with pytest.raises((ValueError, TypeError), match="'x_shape"):
            ops.conv2d_dgrad(np.zeros((8, 4, 3, 3), np.float32), W, x_shape, **PLAIN)


class TestMemory:
    def test_order_is_not_changed_silently(self):
        x = np.zeros((5, 4), np.float32)
        for strided in (x.T, x[:, ::2], x[::-1]):
            with pytest.raises(
                ValueError, match=r"'x': got strides .* wanted C-contiguous .* np.ascontiguousarray\(x\)"
            ):
                ops.relu(strided)

    def test_misaligned_memory(self):
        x = np.zeros(17, np.uint8)[1:].view(np.float32)
        with pytest.raises(ValueError, match="misaligned memory"):
            ops.relu(x)

    def test_read_only_results(self):
        out = np.zeros(3, np.float32)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="'out': got a read-only array, wanted a writable one"):
            ops.relu(np.ones(3, np.float32), out=out)
        w, v = np.ones((2, 3), np.float32)
        w.flags.writeable = False
        with pytest.raises(ValueError, match="'w': got a read-only array"):
            ops.sgd_momentum(w, v, v.copy(), lr=1, momentum=0, weight_decay=0)

    def test_pointwise_results_may_replace_an_input(self):
        x = np.array([-1, 2, -3], np.float32)
        assert ops.relu(x, out=x) is x
        np.testing.assert_array_equal(x, [0, 2, 0])
        for position in (0, 1):
            pair = [np.array([1, 2, 3], np.float32), np.array([4, -5, 6], np.float32)]
            want = ops.relu_backward(*pair)
            np.testing.assert_array_equal(ops.relu_backward(*pair, out=pair[position]), want)

    def test_partial_overlap_is_refused(self):
        buffer = np.arange(10, dtype=np.float32)
        with pytest.raises(ValueError, match="'out': got memory that overlaps 'x', wanted 'x' itself or separate"):
            ops.relu(buffer[:6], out=buffer[2:8])
        np.testing.assert_array_equal(buffer, np.arange(10))

    def test_other_operations_need_separate_memory(self):
        x = np.ones((2, 2, 2, 2), np.float32)
        with pytest.raises(ValueError, match="overlaps 'x', wanted separate memory"):
            ops.lrn(x, out=x)
        y = np.zeros((2, 1, 1, 2), np.float32)
        with pytest.raises(ValueError, match="'arg': got memory that overlaps 'out'"):
            ops.max_pool(x, size=2, out=(y, y.reshape(-1).view(np.uint8)[:4].reshape(2, 1, 1, 2)))
        w = np.ones(4, np.float32)
        with pytest.raises(ValueError, match="'dw': got memory that overlaps 'v'"):
            ops.sgd_momentum(w, v := w.copy(), v, lr=1, momentum=0, weight_decay=0)
        with pytest.raises(ValueError, match="'v': got memory that overlaps 'w'"):
            ops.sgd_momentum(w, w, v, lr=1, momentum=0, weight_decay=0)

    def test_results_of_the_wrong_kind(self):
        with pytest.raises(ValueError, match=r"'out': got \[4\], wanted shape \[3\]"):
            ops.relu(np.ones(3, np.float32), out=np.ones(4, np.float32))
        with pytest.raises(TypeError, match="'out': got float64, wanted float32"):
            ops.relu(np.ones(3, np.float32), out=np.ones(3))
        with pytest.raises(TypeError, match=r"'out': got a ndarray, wanted a tuple \(y, arg\)"):
            ops.max_pool(X, out=np.zeros((4, 2, 2, 3), np.float32))

    def test_beta_needs_a_matrix_to_add(self):
        a = np.ones((2, 2), np.float32)
        with pytest.raises(ValueError, match="'beta': got 1.0, wanted 0 without out"):
            ops.gemm(a, a, beta=1)

    def test_workspace_is_bytes(self):
        with pytest.raises(TypeError, match="'workspace': got float32, wanted uint8"):
            ops.bias_grad(X, workspace=np.zeros(4, np.float32))
        assert ops.bias_grad(X, workspace=np.zeros(4, np.uint8)).shape == (4,)

    def test_results_larger_than_any_memory(self):
        dy = np.ones((1, 1, 1, 1), np.float32)
        with pytest.raises(MemoryError, match="needs 4,000,000,000,000,000,000,000,000 bytes"):
            ops.avg_pool_backward(dy, (1, 10**12, 10**12, 1), size=(10**12, 10**12), stride=1, pad=0, ceil_mode=False)

    def test_results_too_large_for_memory(self, monkeypatch):
        def full(shape, dtype):
            raise MemoryError

        monkeypatch.setattr(np, "empty", full)
        with pytest.raises(
            MemoryError, match=r"conv2d: result 'out' \[8, 4, 3, 3\] of float32 needs 1,152 bytes, .* free"
        ):
            ops.conv2d(X, W)


def test_infinity_and_nan_are_no_errors_whatever_the_caller_thinks_of_them():
    x = np.array([[1e38, np.inf], [-np.inf, np.nan]], np.float32)
    for backend in ("reference", "cpu"):
        with ops.backend(backend), np.errstate(all="raise"):
            ops.gemm(x, x)
            ops.sigmoid(x)
            ops.softmax(x)
            ops.lrn(x.reshape(2, 1, 1, 2), alpha=1e30)
            ops.conv2d(x.reshape(1, 2, 2, 1), x.reshape(1, 2, 2, 1), relu=True)
            ops.max_pool(x.reshape(1, 2, 2, 1), size=1)
