"""Dropout's kernel: Philox in C++, and a step that lives in device memory."""

import numpy as np
import pytest
from kernels.modules import MODULES
from tables import DTYPES
from test_dropout import DRAW, VECTORS, words

from alexnet_cuda import ops


@pytest.mark.parametrize("counter, key, result", VECTORS)
@pytest.mark.parametrize("module", MODULES)
def test_philox_gives_the_published_words(module, counter, key, result):
    assert tuple(module.philox4x32(words(counter), words(key))) == words(result)


@pytest.mark.parametrize("dtype", (np.uint32, np.int32, np.int64, np.uint64))
def test_step_may_be_an_array_of_any_integer(dtype):
    x = np.ones((16, 9), np.float32)
    with ops.backend("emulated"):
        want = ops.dropout(x, **DRAW)
        np.testing.assert_array_equal(ops.dropout(x, **{**DRAW, "step": np.array([7], dtype)}), want)
        np.testing.assert_array_equal(ops.dropout(x, **{**DRAW, "step": np.array(7, dtype)}), want)
        assert (ops.dropout(x, **{**DRAW, "step": np.array([8], dtype)}) != want).any()


@pytest.mark.parametrize(
    "rows, images", [((0, 20), (0, 23)), ((20, 40), (5, 9)), ((7, 8), (22, 23)), ((3, 9), (4, 12))]
)
def test_a_shard_draws_the_bits_of_the_whole(rows, images):
    x = np.ones((40, 23), np.float32)
    part = np.ascontiguousarray(x[slice(*rows), slice(*images)])
    with ops.backend("emulated"):
        whole = ops.dropout(x, **DRAW)
        drawn = ops.dropout(part, **DRAW, first_row=rows[0], first_image=images[0])
    np.testing.assert_array_equal(drawn, whole[slice(*rows), slice(*images)])


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_nan_is_dropped_like_a_number_and_kept_like_one(dtype):
    with ops.backend("emulated"):
        y = ops.dropout(np.full((8, 8), np.nan, DTYPES[dtype]), **DRAW)
        np.testing.assert_array_equal(np.isnan(y), ops.dropout(np.ones((8, 8), DTYPES[dtype]), **DRAW) > 0)


def test_bfloat16_four_at_a_time_and_one_by_one():
    """At every address: those that are multiples of 8 bytes and no others are read as four images."""
    whole = np.linspace(1, 2, 24 * 16).astype(DTYPES["bfloat16"])
    with ops.backend("emulated"):
        for offset in range(9):
            x = whole[offset : offset + 20 * 16].reshape(20, 16)
            wide = ops.dropout(x.astype(np.float32), **DRAW)
            np.testing.assert_array_equal(ops.dropout(x, **DRAW), wide.astype(x.dtype))


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    fc6 = "1 x 512 blocks of 32 x 8 threads (images x features), four images"
    assert module.choose_dropout((4096, 128), 0, True) == f"{fc6} at a time"
    assert module.choose_dropout((4096, 128), 0, False) == f"{fc6} one by one"
    assert module.choose_dropout((4096, 128), 2, True).endswith("one by one")
    assert module.choose_dropout((10, 1), 0, True).startswith("1 x 1 blocks of 1 x 256 threads")
