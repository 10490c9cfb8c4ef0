"""The loss where data are bad or equal: labels, ties, NaN, infinity, padding, and the step state."""

import ml_dtypes
import numpy as np
import pytest

from alexnet_cuda import ops

BACKENDS = ("reference", "cpu")


@pytest.fixture(params=BACKENDS, autouse=True)
def _backend(request):
    with ops.backend(request.param):
        yield


def loss_of(logits, labels, **options):
    return ops.softmax_cross_entropy(np.asarray(logits, np.float32), np.asarray(labels, np.int32), **options)


def test_equal_logits_rank_by_index():
    logits = np.zeros((4, 4))
    _, correct, _ = loss_of(logits, [0, 1, 2, 3], topk=(1, 2, 3, 4))
    assert correct.tolist() == [1, 2, 3, 4]


def test_uniform_logits_lose_log_of_classes():
    loss, _, _ = loss_of(np.zeros((1000, 3)), [1, 2, 3])
    assert loss == pytest.approx(np.log(1000), rel=1e-6)


def test_padding_has_no_loss_no_count_and_no_gradient():
    logits = np.random.default_rng(0).standard_normal((5, 6))
    labels = [2, -1, 0, -1, 4, -1]
    loss, correct, dlogits = loss_of(logits, labels)
    short_loss, short_correct, short_dlogits = loss_of(logits[:, ::2], labels[::2])
    assert loss == short_loss
    assert correct.tolist() == short_correct.tolist()
    np.testing.assert_array_equal(dlogits[:, ::2], short_dlogits)
    np.testing.assert_array_equal(dlogits[:, 1::2], 0)


def test_a_gradient_in_bfloat16_is_the_float32_one_rounded_once():
    logits = 3 * np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    labels = [6, -1, 0, 3, 3]
    wide, narrow = loss_of(logits, labels), loss_of(logits, labels, dlogits_dtype="bfloat16")
    assert narrow[2].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(narrow[2], wide[2].astype(ml_dtypes.bfloat16))
    assert (narrow[0], narrow[1].tolist()) == (wide[0], wide[1].tolist())


@pytest.mark.parametrize(
    ("dtype", "asked"), [("float32", "float64"), ("bfloat16", "float32"), ("float64", "bfloat16"), ("float32", "int8")]
)
def test_gradients_of_other_dtypes_are_refused(dtype, asked):
    logits = np.zeros((2, 1), np.float32).astype(dtype)
    with pytest.raises(TypeError, match=f"argument 'dlogits_dtype': got '{asked}', wanted {dtype}"):
        ops.softmax_cross_entropy(logits, np.zeros(1, np.int32), dlogits_dtype=asked)


def test_nothing_but_padding():
    loss, correct, dlogits = loss_of(np.ones((3, 2)), [-1, -1])
    assert (loss, correct.tolist(), np.abs(dlogits).max()) == (0, [0, 0], 0)


def test_large_logits_do_not_overflow():
    loss, _, dlogits = loss_of([[1e30, -1e30], [0, 0]], [0, 1])
    assert loss == 0
    assert np.isfinite(dlogits).all()


@pytest.mark.parametrize("label", (-2, 3, 2**31 - 1))
def test_label_out_of_range(label):
    out = (np.full((), 7, np.float32), np.full(2, 7, np.int32), np.full((3, 2), 7, np.float32))
    with pytest.raises(ValueError, match=f"'labels': got {label} for image 1, wanted 0 to 2, or -1 for padding"):
        loss_of(np.zeros((3, 2)), [0, label], out=out)
    assert all((array == 7).all() for array in out)


@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_logits_that_are_not_numbers(bad):
    logits = np.zeros((3, 4))
    logits[2, 1] = bad
    out = (np.full((), 7, np.float32), np.full(2, 7, np.int32), np.full((3, 4), 7, np.float32))
    with pytest.raises(ValueError, match=rf"got {bad} at \[class 2, image 1\], wanted a finite loss"):
        loss_of(logits, [0, 1, 2, 0], out=out)
    assert all((array == 7).all() for array in out)


def test_minus_infinity_is_a_class_ruled_out():
    loss, correct, _ = loss_of([[-np.inf, 0], [0, 0]], [1, 0], topk=(1,))
    assert loss == pytest.approx(np.log(2) / 2)
    assert correct.tolist() == [2]
    with pytest.raises(ValueError, match=r"got -inf at \[class 0, image 0\], which is its label, wanted a finite loss"):
        loss_of([[-np.inf], [0]], [0])


@pytest.mark.parametrize("state", (None, "given"))
def test_what_stands_in_padding_is_never_looked_at(state):
    logits = np.zeros((3, 3))
    logits[:, 1] = [np.nan, np.inf, -np.inf]
    state = state and ops.step_state()
    loss, correct, dlogits = loss_of(logits, [0, -1, 0], topk=(1,), state=state)
    assert loss == pytest.approx(np.log(3))
    assert correct.tolist() == [2]
    assert (dlogits[:, 1] == 0).all()
    assert np.isfinite(dlogits).all()
    assert state is None or state[1] == 1


def test_losses_whose_sum_overflows():
    with pytest.raises(ValueError, match="got losses whose sum overflows, wanted a finite loss"):
        loss_of([[2e38] * 2, [0] * 2], [1, 1])
    with pytest.raises(ValueError, match=r"got -3.0000000054977558e\+38 at \[class 1, image 0\], which is its label"):
        loss_of([[3e38], [-3e38]], [1])


def test_with_a_state_a_bad_loss_clears_ok_and_nan_counts_as_wrong():
    logits = np.zeros((3, 4))
    logits[0] = 1
    logits[2, 1] = np.nan
    state = ops.step_state(11, 0.5)
    loss, correct, _ = loss_of(logits, [0, 0, 0, 1], topk=(1, 3), state=state)
    assert np.isnan(loss)
    assert correct.tolist() == [2, 3]
    assert state.tolist() == [11, 0, int(np.float32(0.5).view(np.uint32))]
    w = np.ones(4, np.float32)
    ops.sgd_momentum(w, w.copy(), w.copy(), lr=1, momentum=0.9, weight_decay=0, state=state)
    assert (w == 1).all()


def test_with_a_state_a_good_loss_leaves_ok():
    state = ops.step_state()
    loss_of(np.zeros((3, 2)), [0, 1], state=state)
    assert state[1] == 1


@pytest.mark.parametrize(
    "change, error, says",
    [
        ({"labels": np.zeros(2, np.int64)}, TypeError, "'labels': got int64, wanted int32; use labels.astype"),
        ({"labels": np.zeros(3, np.int32)}, ValueError, r"'labels': got \[3\], wanted shape \[2\]"),
        ({"topk": ()}, ValueError, "'topk': got \\(\\), wanted a tuple of integers"),
        ({"topk": 5}, TypeError, "'topk': got 5, wanted a tuple of integers"),
        ({"topk": None}, TypeError, "'topk': got None, wanted a tuple of integers"),
        ({"topk": (0,)}, ValueError, "'topk': got 0, wanted at least 1"),
        ({"out": np.zeros(3)}, TypeError, "'out': got a ndarray, wanted a tuple"),
        ({"state": np.zeros(3, np.float32)}, TypeError, "'state': got float32, wanted uint32"),
    ],
)
def test_bad_arguments(change, error, says):
    given = {"logits": np.zeros((3, 2), np.float32), "labels": np.zeros(2, np.int32), **change}
    with pytest.raises(error, match=says):
        ops.softmax_cross_entropy(**given)
