"""Stores: taking images out of shards, and folders that are none. Damage is in test_prepare.py."""

import numpy as np
import pytest

from alexnet_cuda import data
from alexnet_cuda.data.statistics import PixelSums
from alexnet_cuda.data.store import Split, in_memory

RANDOM = np.random.default_rng(0)


def images(count, size=6, channels=3):
    return RANDOM.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


@pytest.mark.parametrize("size", [6, 80], ids=["small", "large"])
@pytest.mark.parametrize("mapped", [False, True])
def test_take_gives_any_images_in_the_order_asked_for(tmp_path, size, mapped):
    shards = [images(count, size) for count in (5, 0, 1, 7)]
    whole = np.concatenate(shards)
    if mapped:
        for i, shard in enumerate(shards):
            np.save(tmp_path / f"{i}.npy", shard)
        shards = [np.load(tmp_path / f"{i}.npy", mmap_mode="r" if len(s) else None) for i, s in enumerate(shards)]
    split = Split("train", np.zeros(13, np.int32), tuple(shards))
    for ids in ([], [12], [4, 5, 6], [12, 0, 12, 5, 3, 4, 6, 0], list(range(13))[::-1]):
        got = split.take(np.array(ids, np.int64))
        np.testing.assert_array_equal(got, whole[ids])
        assert got.dtype == np.uint8 and got.flags.c_contiguous and got.flags.writeable
    np.testing.assert_array_equal(split.take(np.array([3, 9], np.uint8)), whole[[3, 9]])


@pytest.mark.parametrize("ids", [[-1], [0, 13], [[0]], [0.5], [True]])
def test_ids_that_are_not_there(ids):
    split = Split("train", np.zeros(13, np.int32), (images(13),))
    with pytest.raises(ValueError, match="train: ids: got .*, wanted"):
        split.take(np.array(ids))


def test_arrays_as_a_store():
    train, val = images(20), images(4)
    labels = np.arange(20) % 3
    store = in_memory((train, labels), (val, [0, 1, 2, 0]), ["a", "b", "c"], "mine", {"val": lambda i: f"file {i}"})
    np.testing.assert_array_equal(store.train.take(np.array([3, 1])), train[[3, 1]])
    assert store.train.labels.dtype == np.int32 and store.train.labels.tolist() == labels.tolist()
    assert store.train.source(7) == "train#7" and store.val.source(2) == "file 2"
    assert store.description == "mine: 20 training and 4 validation images, 3 classes, 6x6"
    np.testing.assert_allclose(store.mean_image, train.mean(axis=0), rtol=1e-6)
    data.verify(store)
    no_val = in_memory((train, labels), None, ["a", "b", "c"], "mine")
    assert no_val.val is None
    assert no_val.description == "mine: 20 training images, none for validation, 3 classes, 6x6"


def test_the_fingerprint_tells_stores_apart():
    train, labels = images(6), np.array([0, 1, 0, 1, 0, 1])
    other = train.copy()
    other[3, 2, 1, 0] ^= 1
    prints = {
        in_memory((pixels, numbers), val, names, "x").fingerprint
        for pixels, numbers, val, names in (
            (train, labels, None, ["a", "b"]),
            (other, labels, None, ["a", "b"]),
            (train, labels[::-1], None, ["a", "b"]),
            (train, labels, None, ["a", "c"]),
            (train, labels, (train, labels), ["a", "b"]),
        )
    }
    assert len(prints) == 5
    same = in_memory((train.copy(), labels.copy()), None, ("a", "b"), "another title")
    assert same.fingerprint in prints


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (images(3).astype(np.float32), [0, 1, 0], "wanted uint8"),
        (images(3)[..., 0], [0, 1, 0], "wanted uint8"),
        (images(3)[:, :4], [0, 1, 0], "wanted uint8"),
        (images(3), [0, 1], "labels .2. for 3 images"),
        (images(0), [], "labels .0. for 0 images"),
        (images(3), [0, 1, 2], "labels go from 0 to 2 for 2 classes"),
        (images(3), [0, -1, 1], "labels go from -1 to 1 for 2 classes"),
    ],
)
def test_arrays_that_are_no_store(pixels, labels, message):
    with pytest.raises(ValueError, match=f"train: .*{message}"):
        in_memory((pixels, labels), None, ["a", "b"], "x")


def test_sums_do_not_depend_on_who_adds_what():
    everything = images(50, 20)
    one = PixelSums.zero(20, 3)
    one.add(everything)
    parts = PixelSums.zero(20, 3)
    for part in (everything[30:], everything[:1], everything[:0], everything[1:30]):
        sums = PixelSums.zero(20, 3)
        sums.add(part)
        parts.merge(sums)
    assert one.images == parts.images == 50
    np.testing.assert_array_equal(one.pixels, everything.sum(axis=0, dtype=np.uint64))
    flat = everything.reshape(-1, 3).astype(np.int64)
    np.testing.assert_array_equal(one.products, flat.T @ flat)
    np.testing.assert_array_equal(one.pixels, parts.pixels)
    np.testing.assert_array_equal(one.products, parts.products)


def test_the_covariance_of_a_large_set_is_exact():
    """A constant colour varies not at all, however many pixels have it: no digits are lost."""
    count = 2_000_000
    pixels = np.full((256, 256, 3), 201 * count, np.uint64)
    sums = PixelSums(count, pixels, np.full((3, 3), 201 * 201 * 256 * 256 * count, np.int64))
    np.testing.assert_array_equal(sums.covariance(), np.zeros((3, 3)))
    assert (sums.mean_image() == 201).all()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "not a prepared store \\(no manifest.json\\); make one of it with: alexnet-cuda prepare"),
        (["records/x"], "its preparation has not ended; run the same prepare command again"),
        (["manifest.json"], "manifest.json is damaged"),
    ],
)
def test_folders_that_are_no_store(tmp_path, files, message):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(data.StoreError, match=message):
        data.open(tmp_path)


def test_manifests_of_something_else(tmp_path):
    with pytest.raises(data.StoreError, match="no such folder; make a store with"):
        data.open(tmp_path / "none")
    for text in ("[]", "{}", '{"format": "x", "version": 1}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(data.StoreError, match="not of a prepared store"):
            data.open(tmp_path)
