"""The oracle's pointwise operations, dropout, loss, update and augmentation against hand-made numbers."""

import math

import numpy as np
import pytest

import oracle

NAN, INF = math.nan, math.inf


def test_pointwise() -> None:
    assert np.array_equal(oracle.relu([-1, 0, 2, NAN, INF]), [0, 0, 2, NAN, INF], equal_nan=True)
    assert oracle.relu_backward([INF, 2, 3, 4], [0, -1, 5, NAN]).tolist() == [0, 0, 3, 4]
    assert oracle.tanh([0, 1]).tolist() == pytest.approx([0, (math.e**2 - 1) / (math.e**2 + 1)])
    assert oracle.tanh_backward([4, 4], [0.5, 1]).tolist() == [3, 0]
    assert oracle.sigmoid([0, 1, -1, 1e4, -1e4]).tolist() == pytest.approx(
        [0.5, math.e / (1 + math.e), 1 / (1 + math.e), 1, 0]
    )
    assert oracle.sigmoid_backward([16, 16], [0.25, 1]).tolist() == [3, 0]
    assert oracle.add([1, 2], [10, 20]).tolist() == [11, 22]
    assert oracle.scale([1, -2, 0], -0.25).tolist() == [-0.25, 0.5, 0]


PHILOX = [  # the known answers of Random123
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "words"), PHILOX)
def test_philox_known_answers(counter: str, key: str, words: str) -> None:
    counter, key, words = (tuple(int(word, 16) for word in text.split()) for text in (counter, key, words))
    assert oracle.philox4x32(counter, key) == words


def test_dropout_mask_draws_the_documented_words() -> None:
    seed = 0x299F31D0_A4093822
    counter = {
        "first_image": 0x243F6A88 << 2,
        "first_row": 0x85A308D3,
        "layer": 0x13198A2E,
        "step": 0x03707344,
    }
    mask = oracle.dropout_mask((1, 4), 0x5001E421 / 2**32, seed, **counter)
    # The words are d16cfe09 94fdcceb 5001e420 24126ea1; the third is one below the threshold.
    assert mask.tolist() == [[False, False, True, True]]
    at_threshold = oracle.dropout_mask((1, 1), 0x6627E8D5 / 2**32, 0, np.array([0]), 0)
    above = oracle.dropout_mask((1, 1), 0x6627E8D6 / 2**32, 0, 0, 0)
    assert (at_threshold.item(), above.item()) == (False, True)


def test_dropout_mask_of_a_shard_is_a_cut_of_the_whole() -> None:
    draw = {"keep": 0.4, "seed": 2**40 + 3, "step": 7, "layer": 2}
    whole = oracle.dropout_mask((3, 2, 4, 11), **draw)
    flat = oracle.dropout_mask((24, 11), **draw)
    assert np.array_equal(whole.reshape(24, 11), flat)
    assert np.array_equal(oracle.dropout_mask((9, 5), **draw, first_row=13, first_image=6), flat[13:22, 6:11])
    big = oracle.dropout_mask((64, 64), **draw)
    assert abs(big.mean() - 0.4) < 4 * math.sqrt(0.4 * 0.6 / big.size)
    assert not np.array_equal(flat, oracle.dropout_mask((24, 11), **{**draw, "seed": 3}))


def test_dropout_scales_what_it_keeps() -> None:
    x, draw = np.array([[1.0, INF, 3, 4]]), {"keep": 0.3, "seed": 0, "step": 0, "layer": 0}
    # The words are 6627e8d5 e169c58d bc57ac4c 9b00dbd8: 0.399, 0.881, 0.736, 0.606 of 2^32.
    assert oracle.dropout(x, **{**draw, "keep": 0.75}, inverted=False).tolist() == [[1, 0, 3, 4]]
    assert oracle.dropout(x, **{**draw, "keep": 0.7}).tolist() == [[1 / 0.7, 0, 0, 4 * (1 / 0.7)]]
    narrow = oracle.dropout_backward(x.astype(np.float32), **{**draw, "keep": 0.7})
    assert narrow[0, 0] == float(np.float32(1 / 0.7)) != 1 / 0.7


def test_softmax() -> None:
    logits = np.array([[0.0, 1000, -INF], [math.log(3), 1000, 0]])
    assert np.allclose(oracle.softmax(logits), [[0.25, 0.5, 0], [0.75, 0.5, 1]], rtol=1e-15)


def test_softmax_cross_entropy_by_hand() -> None:
    logits = np.array([[0.0, 1, 9], [math.log(3), 1, 9]])
    loss, correct, dlogits = oracle.softmax_cross_entropy(logits, [0, 1, -1], topk=(1, 2))
    assert loss == pytest.approx((math.log(4) + math.log(2)) / 2)
    assert correct.tolist() == [0, 2]
    assert np.allclose(dlogits, [[-0.375, 0.25, 0], [0.375, -0.25, 0]], rtol=1e-15)
    loss, correct, dlogits = oracle.softmax_cross_entropy(logits, [-1, -1, -1])
    assert (loss, correct.tolist(), dlogits.any()) == (0, [0, 0], False)


def test_softmax_cross_entropy_rank_ties_and_nan() -> None:
    tied = np.array([[5.0, 5], [5, 5], [1, 1]])
    assert oracle.softmax_cross_entropy(tied, [0, 1], topk=(1, 2))[1].tolist() == [1, 2]
    loss, correct, dlogits = oracle.softmax_cross_entropy([[9, 9], [NAN, 1]], [0, 0], topk=(1,))
    assert math.isnan(loss)
    assert correct.tolist() == [1]
    assert np.isnan(dlogits[:, 0]).all()
    assert np.isfinite(dlogits[:, 1]).all()
    loss, _, dlogits = oracle.softmax_cross_entropy([[9, NAN], [1, 1]], [0, -1])
    assert loss == pytest.approx(math.log1p(math.exp(-8)), rel=1e-14)
    assert dlogits[:, 1].tolist() == [0, 0]
    assert oracle.softmax_cross_entropy([[-INF], [1]], [0])[0] == INF
    for label in (-2, 2):
        with pytest.raises(ValueError):
            oracle.softmax_cross_entropy([[9], [1]], [label])


def test_softmax_cross_entropy_gradient() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(7, 4)), [3, -1, 0, 6]

    def loss_of(values: np.ndarray) -> np.ndarray:
        return np.array(oracle.softmax_cross_entropy(values, labels)[0])

    dlogits = oracle.softmax_cross_entropy(logits, labels)[2]
    assert np.allclose(dlogits, oracle.central_differences(loss_of, logits, np.array(1.0)), atol=1e-9)


def test_sgd_momentum() -> None:
    rates = {"lr": 0.5, "momentum": 0.75, "weight_decay": 0.25}
    # v = 0.75*8 - 0.25*0.5*16 - 0.5*2
    w, v = oracle.sgd_momentum([16], [8], [2], **rates)
    assert (w.tolist(), v.tolist()) == ([19], [3])
    state = np.array([9, 1, np.array(0.5, dtype=np.float32).view(np.uint32)], dtype=np.uint32)
    w, v = oracle.sgd_momentum([16], [8], [2], **rates, state=state)
    assert (w.tolist(), v.tolist()) == ([20.5], [4.5])
    state[1] = 0
    w, v = oracle.sgd_momentum([16], [8], [NAN], **rates, state=state)
    assert (w.tolist(), v.tolist()) == ([16], [8])


def test_augment_by_hand() -> None:
    # Pixels are 10*row + column; two images, the second flipped and 100 brighter.
    one = np.add.outer(10 * np.arange(4), np.arange(5)).astype(np.uint8)
    images = np.stack([one, one + 100])[..., None]
    place = {"crop": (2, 3), "offsets": [[1, 2], [0, 1]], "flips": [False, True]}
    x = oracle.augment(images, **place)
    assert x.shape == (1, 2, 3, 2)
    assert x[0, :, :, 0].tolist() == [[12, 13, 14], [22, 23, 24]]
    assert x[0, :, :, 1].tolist() == [[103, 102, 101], [113, 112, 111]]
    x = oracle.augment(images, **place, color_shift=[[0.5], [-1]], mean=[2])
    assert x[0, 0, :, 0].tolist() == [10.5, 11.5, 12.5]
    assert x[0, 0, :, 1].tolist() == [100, 99, 98]
    # The mean image's centre crop starts at (1, 1) and is not flipped.
    x = oracle.augment(images, **place, mean=one[..., None])
    assert x[0, :, :, 0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert x[0, :, :, 1].tolist() == [[92, 90, 88], [92, 90, 88]]
    with pytest.raises(ValueError):
        oracle.augment(images, **{**place, "offsets": [[3, 0], [0, 0]]})


def test_augment_keeps_colours_apart() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    x = oracle.augment(images, crop=1, offsets=[[0, 1]], flips=[0], color_shift=[[1, 2, 3]], mean=[3, 3, 3])
    assert x.ravel().tolist() == [1, 3, 5]


def test_layouts() -> None:
    x = np.arange(24).reshape(2, 3, 1, 4)
    y = oracle.from_nchw(x)
    assert y.shape == (3, 1, 4, 2)
    assert y[2, 0, 3, 1] == x[1, 2, 0, 3] == 23
    assert y[1, 0, 2, 0] == x[0, 1, 0, 2] == 6
    assert np.array_equal(oracle.to_nchw(y), x)
