"""Dropout's randomness: published Philox vectors, and bits that do not care how a layer is cut up."""

import numpy as np
import oracle
import pytest

from alexnet_cuda import ops

# Known answers of Random123, the authors' own library: counter, key, words.
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
DRAW = {"keep": 0.5, "seed": 0x123456789ABCDEF0, "step": 7, "layer": 6}


def words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize("counter, key, result", VECTORS)
def test_philox_gives_the_published_words(counter, key, result):
    assert tuple(ops.philox4x32(words(counter), words(key)).tolist()) == words(result)


def test_philox_takes_arrays_of_counters():
    counters = np.arange(12).reshape(3, 4)
    got = ops.philox4x32((counters, 5, counters[:, :1], 2**31), (3, 4))
    assert got.shape == (3, 4, 4)
    assert got.dtype == np.uint32
    for i, j in np.ndindex(3, 4):
        counter = (int(counters[i, j]), 5, int(counters[i, 0]), 2**31)
        assert tuple(got[i, j].tolist()) == oracle.philox4x32(counter, (3, 4))


@pytest.mark.parametrize("backend", ("reference", "cpu"))
def test_a_shard_draws_the_bits_of_the_whole(backend):
    x = np.ones((40, 23), np.float32)
    with ops.backend(backend):
        whole = ops.dropout(x, **DRAW)
        for rows, images in ((slice(0, 20), slice(0, 23)), (slice(20, 40), slice(5, 9)), (slice(7, 8), slice(22, 23))):
            part = ops.dropout(
                np.ascontiguousarray(x[rows, images]), **DRAW, first_row=rows.start, first_image=images.start
            )
            np.testing.assert_array_equal(part, whole[rows, images])


def test_every_part_of_the_counter_matters():
    x = np.ones((64, 64), np.float32)
    base = ops.dropout(x, **DRAW)
    for change in ({"seed": 1}, {"seed": DRAW["seed"] ^ 1 << 40}, {"step": 8}, {"layer": 7}, {"first_row": 1}):
        assert (ops.dropout(x, **{**DRAW, **change}) != base).mean() > 0.4


def test_step_may_be_an_array_that_a_replay_reads_anew():
    x = np.ones((16, 8), np.float32)
    step = ops.step_state(7)[:1]
    np.testing.assert_array_equal(ops.dropout(x, **{**DRAW, "step": step}), ops.dropout(x, **DRAW))


def test_the_fraction_kept_and_the_scale():
    x = np.ones((500, 400), np.float32)
    for keep in (0.5, 0.8, 0.1):
        y = ops.dropout(x, **{**DRAW, "keep": keep})
        # Five standard deviations of a binomial fraction.
        assert abs((y > 0).mean() - keep) < 5 * np.sqrt(keep * (1 - keep) / x.size)
        assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(keep)}
        unscaled = ops.dropout(x, **{**DRAW, "keep": keep}, inverted=False)
        np.testing.assert_array_equal(unscaled, y > 0)


def test_nan_is_dropped_like_a_number_and_kept_like_one():
    y = ops.dropout(np.full((8, 8), np.nan, np.float32), **DRAW)
    np.testing.assert_array_equal(np.isnan(y), ops.dropout(np.ones((8, 8), np.float32), **DRAW) > 0)


@pytest.mark.parametrize(
    "change, error, says",
    [
        ({"keep": 0.0}, ValueError, "'keep': got 0.0, wanted a number above 0"),
        ({"keep": 1.5}, ValueError, "'keep': got 1.5, wanted at most 1"),
        ({"keep": float("nan")}, ValueError, "'keep': got nan, wanted a finite number that float32"),
        ({"keep": "half"}, TypeError, "'keep': got 'half', wanted a number"),
        ({"seed": -1}, ValueError, "'seed': got -1"),
        ({"seed": 2**64}, ValueError, "'seed': got 18446744073709551616, wanted at most"),
        ({"step": 2**32}, ValueError, "'step': got 4294967296"),
        ({"step": np.zeros(2, np.uint32)}, ValueError, "'step': got 2 elements, wanted one"),
        ({"step": np.array([-1])}, ValueError, "'step': got -1"),
        ({"step": np.array([2**40])}, ValueError, "'step': got 1099511627776, wanted at most 4294967295"),
        ({"first_row": 2**32 - 1}, ValueError, "'first_row': got 4294967295, wanted at most 4294967294"),
        ({"first_image": 2**32 - 1}, ValueError, "'first_image': got 4294967295, wanted at most 4294967294"),
        ({"inverted": "no"}, TypeError, "'inverted': got 'no', wanted True or False"),
        ({"step": np.zeros(1, np.float32)}, TypeError, "'step': got float32"),
        ({"layer": 1.0}, TypeError, "'layer': got 1.0, wanted an integer"),
    ],
)
def test_bad_parameters(change, error, says):
    with pytest.raises(error, match=says):
        ops.dropout(np.ones((2, 2), np.float32), **{**DRAW, **change})
