"""Bad data on a device: kernels note it, `ops.check_status` raises."""

import contextlib

import numpy as np
import pytest

from alexnet_cuda import ops
from alexnet_cuda.ops import backends


@pytest.fixture(autouse=True)
def _emulated():
    with ops.backend("emulated"):
        yield
        with contextlib.suppress(ValueError):
            ops.check_status()  # what a failing test left must not fail the next


def loss_of(labels, state=None, logits=None):
    labels = np.array(labels, np.int32)
    logits = np.zeros((3, labels.size), np.float32) if logits is None else np.asarray(logits, np.float32)
    return ops.softmax_cross_entropy(logits, labels, topk=(1,), state=state)


def crops_at(*corners, **options):
    images = np.arange(len(corners) * 6 * 5 * 3, dtype=np.uint8).reshape(len(corners), 6, 5, 3)
    offsets = np.array(corners, np.int32)
    return ops.augment(images, crop=(4, 3), offsets=offsets, flips=np.zeros(len(corners), np.uint8), **options)


@pytest.mark.parametrize("label", (-2, 3, 2**31 - 1, -(2**31)))
def test_a_label_out_of_range(label):
    state = ops.step_state()
    loss, correct, dlogits = loss_of([0, 1, label, 2, label], state)
    assert np.isnan(loss) and state[1] == 0
    assert (dlogits[:, 2] == 0).all() and np.isfinite(dlogits).all()
    assert correct[0] == 1  # equal logits: the first class
    says = f"softmax_cross_entropy: argument 'labels': got {label} for image 2, wanted 0 to 2, or -1 for padding"
    with pytest.raises(ValueError, match=says):
        ops.check_status()
    ops.check_status()  # said once


def test_padding_is_no_bad_label():
    state = ops.step_state()
    loss_of([-1, 0, -1], state)
    assert state[1] == 1
    ops.check_status()


def test_notes_stay_until_they_are_read_and_the_first_image_is_named():
    loss_of([0] * 20 + [7, 8])
    loss_of([0, 9])
    loss_of([0, 1])
    with pytest.raises(ValueError, match="got 9 for image 1, wanted 0 to 2"):
        ops.check_status()


def test_a_loss_that_is_not_finite_without_a_state():
    logits = np.zeros((3, 20))
    logits[2, 11] = logits[0, 17] = np.nan
    loss, correct, _ = loss_of([1] * 20, logits=logits)
    assert np.isnan(loss) and correct[0] == 0
    with pytest.raises(ValueError, match="'logits': got a loss that is not finite for image 11, wanted a finite loss"):
        ops.check_status()
    with pytest.raises(ValueError, match="got losses whose sum overflows"):
        loss_of([1, 1], logits=[[2e38] * 2, [0] * 2, [0] * 2])
        ops.check_status()


def test_with_a_state_a_bad_loss_is_the_trainers_business():
    state = ops.step_state()
    loss_of([1, 1], state, [[np.nan, 0], [0, 0], [0, 0]])
    assert state[1] == 0
    ops.check_status()


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (3, 2), (2, 3), (2**31 - 1, 0), (0, -(2**31))])
def test_a_crop_that_leaves_its_image(corner):
    x = crops_at((0, 0), (2, 2), corner)
    assert np.isnan(x[..., 2]).all() and not np.isnan(x[..., :2]).any()
    got = rf"\(y, x\) = \({corner[0]}, {corner[1]}\) for image 2"
    with pytest.raises(ValueError, match=f"augment: argument 'offsets': got {got}, wanted 0 to 2 and 0 to 2"):
        ops.check_status()
    ops.check_status()


def test_numpy_backends_have_nothing_to_tell():
    with ops.backend("cpu"):
        with pytest.raises(ValueError, match="got 5 for image 0"):
            loss_of([5])
        ops.check_status()


def test_scratch_memory_survives_batches_that_grow_and_kernels_that_fail(monkeypatch):
    small, large = np.zeros(5, np.int32), np.zeros(9000, np.int32)
    for labels in (small, large, small):
        loss, correct, _ = loss_of(labels)
        assert loss == pytest.approx(np.log(3), rel=1e-5) and correct[0] == labels.size
    kernels = backends.load("emulated")
    kernels._scratch(1)[0] = 1  # as if a launch had died half-way
    with pytest.raises(ValueError, match="topk has 9 numbers, wanted at most 8"):
        ops.softmax_cross_entropy(np.zeros((3, 2), np.float32), np.zeros(2, np.int32), topk=(1,) * 9)
    assert loss_of(small)[1] == 5
