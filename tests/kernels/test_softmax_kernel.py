"""The loss kernel where data are equal, infinite or missing; its expected numbers are those of the NumPy backends."""

import numpy as np
import pytest
from kernels.modules import MODULES
from tables import DTYPES

from alexnet_cuda import ops


def both(logits, labels, dtype, **options):
    """Results of the kernel and of the reference, each with a state of its own."""
    logits, labels = np.asarray(logits).astype(DTYPES[dtype]), np.asarray(labels, np.int32)
    results = []
    for backend in ("emulated", "reference"):
        state = ops.step_state(11, 0.5)
        with ops.backend(backend):
            loss, correct, dlogits = ops.softmax_cross_entropy(logits, labels, state=state, **options)
        results.append((float(loss), correct.tolist(), dlogits.astype(np.float32), state.tolist()))
    return results


@pytest.mark.parametrize(
    "logits, labels",
    [
        pytest.param(np.zeros((4, 4)), [0, 1, 2, 3], id="equal logits rank by index"),
        pytest.param([[1e30, -1e30], [0, 0]], [0, 1], id="large logits"),
        pytest.param([[-np.inf, 0], [0, 0]], [1, 0], id="a class ruled out"),
        pytest.param([[-np.inf], [0]], [0], id="the label ruled out"),
        pytest.param([[np.inf, 1], [0, 2]], [0, 1], id="infinity"),
        pytest.param([[np.nan, 1, np.nan], [0, 2, 0]], [0, 1, -1], id="NaN, and NaN in padding"),
        pytest.param([[2e38] * 2, [0] * 2], [1, 1], id="losses whose sum overflows"),
        pytest.param(np.ones((3, 2)), [-1, -1], id="nothing but padding"),
    ],
)
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_special_numbers(logits, labels, dtype):
    (loss, correct, dlogits, state), want = both(logits, labels, dtype, topk=(1, 2, 3, 4))
    assert loss == pytest.approx(want[0], rel=1e-6, nan_ok=True)
    assert correct == want[1] and state == want[3]
    labelled = np.asarray(labels) >= 0
    np.testing.assert_allclose(dlogits[:, labelled], want[2][:, labelled], rtol=1e-6)
    assert (dlogits[:, ~labelled] == 0).all()


def test_more_images_than_a_block_counts_at_once():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((5, 3001)), rng.integers(-1, 5, 3001)
    (loss, correct, dlogits, _), want = both(logits, labels, "float32", topk=(1, 2**40))
    assert loss == pytest.approx(want[0], rel=1e-6)
    assert correct == want[1]
    np.testing.assert_allclose(dlogits, want[2], atol=1e-9)


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_softmax_of_columns_with_nan_and_infinity(dtype):
    logits = np.array([[0, np.nan, -np.inf, np.inf], [0, 0, 0, 0]], DTYPES[dtype])
    with ops.backend("emulated"):
        p = ops.softmax(logits).astype(np.float32)
        np.testing.assert_array_equal(p, [[0.5, np.nan, 0, np.nan], [0.5, np.nan, 1, np.nan]])


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    assert module.choose_softmax((1000, 128)) == "16 blocks of 8 images, 128 threads each"
    assert module.choose_softmax((1, 1)) == "1 blocks of 8 images, 4 threads each"


def test_a_bfloat16_gradient_of_float32_logits_is_rounded_once():
    rng = np.random.default_rng(6)
    logits = rng.standard_normal((11, 21), dtype=np.float32)
    labels = rng.integers(0, 11, 21).astype(np.int32)
    with ops.backend("emulated"):
        loss, correct, whole = ops.softmax_cross_entropy(logits, labels)
        same_loss, same_correct, rounded = ops.softmax_cross_entropy(logits, labels, dlogits_dtype=DTYPES["bfloat16"])
    assert same_loss == loss and (same_correct == correct).all()
    assert rounded.dtype == DTYPES["bfloat16"]
    np.testing.assert_array_equal(rounded, whole.astype(rounded.dtype))
