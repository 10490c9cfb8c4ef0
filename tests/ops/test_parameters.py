"""Parameters of operations: what each refuses, and in which words, before a result is touched."""

import ml_dtypes
import numpy as np
import pytest
from test_arrays import Exporter

from alexnet_cuda import ops

X = np.zeros((4, 6, 5, 3), np.float32)
W = np.zeros((4, 3, 3, 8), np.float32)


class TestAugment:
    GOOD = {
        "images": np.zeros((2, 8, 8, 3), np.uint8),
        "crop": 6,
        "offsets": np.zeros((2, 2), np.int32),
        "flips": np.zeros(2, bool),
    }

    @pytest.mark.parametrize(
        "change, error, says",
        [
            ({"crop": 9}, ValueError, r"'crop': got \(9, 9\), wanted at most the image size \(8, 8\)"),
            ({"crop": 0}, ValueError, "'crop': got 0"),
            ({"images": np.zeros((2, 8, 8, 3), np.float32)}, TypeError, "'images': got float32, wanted uint8"),
            ({"offsets": np.array([[0, 0], [3, 0]], np.int32)}, ValueError, r"\(3, 0\) for image 1, wanted 0 to 2"),
            ({"offsets": np.array([[0, -1], [0, 0]], np.int32)}, ValueError, r"\(0, -1\) for image 0"),
            ({"flips": np.zeros(3, bool)}, ValueError, "'flips'"),
            ({"mean": np.zeros(4, np.float32)}, ValueError, r"'mean': got shape \[4\], wanted shape \[3\] or a mean"),
            ({"mean": np.zeros((5, 5, 3), np.float32)}, ValueError, r"a mean image of at least \[6, 6, 3\]"),
            ({"color_shift": np.zeros((2, 3))}, TypeError, "'color_shift': got float64, wanted float32"),
            (
                {"dtype": np.int32},
                TypeError,
                "'dtype': got <class 'numpy.int32'>, wanted float32 or bfloat16 or float64",
            ),
        ],
    )
    def test_bad_arguments(self, change, error, says):
        with pytest.raises(error, match=says):
            ops.augment(**{**self.GOOD, **change})


class TestFlagsAndNumbers:
    """What Python would quietly take for true, or float32 for infinity, is refused before a result is touched."""

    OUT = np.full((8, 4, 3, 3), 7, np.float32)

    @pytest.mark.parametrize("flag", ("relu", "ceil_mode"))
    @pytest.mark.parametrize("value", ("false", 1, None, np.array([True, False])))
    def test_flags(self, flag, value):
        with pytest.raises(TypeError, match=f"'{flag}': got .*, wanted True or False"):
            ops.conv2d(X, W, **{flag: value}, out=self.OUT)
        assert (self.OUT == 7).all()

    def test_numpys_booleans_are_flags(self):
        assert ops.conv2d(X, W, relu=np.bool_(True)).shape == (8, 4, 3, 3)

    @pytest.mark.parametrize("value", (1e39, 10**400, float("inf"), float("nan")))
    def test_numbers_beyond_float32(self, value):
        w = np.ones(3, np.float32)
        with pytest.raises(ValueError, match="'lr': got .*, wanted a finite number that float32 can hold"):
            ops.sgd_momentum(w, w.copy(), w.copy(), lr=value, momentum=0, weight_decay=0)
        with pytest.raises(ValueError, match="'lr_scale'"):
            ops.step_state(0, value)
        assert (w == 1).all()

    @pytest.mark.parametrize(
        "value, error", [("2", TypeError), (True, TypeError), (None, TypeError), (1e39, ValueError)]
    )
    def test_a_factor_is_a_number_that_float32_holds(self, value, error):
        x = np.ones(3, np.float32)
        with pytest.raises(error, match="scale: argument 'factor': got "):
            ops.scale(x, value, out=x)
        assert (x == 1).all()

    def test_a_scaled_array_may_replace_its_input(self):
        x = np.arange(3, dtype=np.float32)
        assert ops.scale(x, 0.5, out=x) is x
        assert x.tolist() == [0, 0.5, 1]

    def test_integers_are_no_strings_or_floats(self):
        for bad in (1.0, "1", None, np.float32(1)):
            with pytest.raises(TypeError, match="'groups': got .*, wanted an integer"):
                ops.conv2d(X, W, groups=bad)
        assert ops.conv2d(X, W, groups=np.int64(1)).shape == (8, 4, 3, 3)


class TestPools:
    def test_min_pool_is_checked_as_max_pool_is(self):
        x = np.ones((1, 4, 4, 2), np.float32)
        arg = np.zeros(x.shape, np.uint8)
        with pytest.raises(ValueError, match="min_pool: argument 'out': got memory that overlaps 'x'"):
            ops.min_pool(x, size=1, stride=1, out=(x, arg))
        out = Exporter(np.zeros((1, 2, 2, 2), np.float32))
        y, _ = ops.min_pool(x, size=2, out=(out, np.zeros((1, 2, 2, 2), np.uint8)))
        assert y is out
        assert (out._array == 1).all()
        with pytest.raises(TypeError, match="global_avg_pool: argument 'x'"):
            ops.global_avg_pool([1.0])

    def test_positions_that_no_window_has(self):
        dy = np.ones((1, 1, 1, 1), np.float32)
        with pytest.raises(ValueError, match="'arg': got 9, wanted positions up to 8, as max_pool returned them"):
            ops.max_pool_backward(
                dy, np.full(dy.shape, 9, np.uint8), (1, 3, 3, 1), size=3, stride=2, pad=0, ceil_mode=False
            )


class TestUpdate:
    def test_the_bfloat16_copy(self):
        w, v, dw = (np.array(values, np.float32) for values in ([1.001, -3], [0, 0], [0.5, 0.25]))
        copy = np.zeros(2, ml_dtypes.bfloat16)
        ops.sgd_momentum(w, v, dw, lr=0.1, momentum=0.9, weight_decay=0.01, w_bf16=copy)
        np.testing.assert_array_equal(copy, w.astype(ml_dtypes.bfloat16))
        with pytest.raises(TypeError, match="'w_bf16': got float32, wanted bfloat16"):
            ops.sgd_momentum(w, v, dw, lr=0.1, momentum=0.9, weight_decay=0, w_bf16=np.zeros(2, np.float32))
        with pytest.raises(ValueError, match="'w_bf16': got memory that overlaps 'w'"):
            overlapping = w.view(ml_dtypes.bfloat16)[:2]
            ops.sgd_momentum(w, v, dw, lr=0.1, momentum=0.9, weight_decay=0, w_bf16=overlapping)


class TestLayout:
    def test_there_and_back(self):
        x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
        chwn = ops.from_nchw(x)
        assert chwn.flags.c_contiguous
        assert chwn[1, 2, 3, 0] == x[0, 1, 2, 3]
        np.testing.assert_array_equal(ops.to_nchw(chwn), x)
        out = np.empty((3, 4, 5, 2), np.float32)
        assert ops.from_nchw(x, out=out) is out


class TestLrn:
    @pytest.mark.parametrize(
        "change, says",
        [
            ({"size": 0}, "'size': got 0"),
            ({"k": 0.0}, "'k': got 0.0, wanted at least"),
            ({"alpha": -1}, "'alpha'"),
        ],
    )
    def test_constants_that_would_give_nan(self, change, says):
        with pytest.raises(ValueError, match=says):
            ops.lrn(X, **change)
