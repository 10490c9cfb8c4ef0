"""Minibatches: what is in them, in which order, and what becomes of the threads that make them."""

import contextlib
import threading
import time

import numpy as np
import pytest

from alexnet_cuda import ops
from alexnet_cuda.data import augment
from alexnet_cuda.data.loader import Loader
from alexnet_cuda.data.store import Store
from alexnet_cuda.nn.recipe import Augmentation

SIZE, CROP, IMAGES = 8, 6, 23
EVERYTHING = Augmentation(random_crop=True, flip=True, color=0.1)


class Numbered:
    """A split of images whose bytes say which they are. Notes what was asked for; can fail at an image, or wait."""

    def __init__(self, n=IMAGES, bad=None, gate=None):
        self.labels = (np.arange(n) % 5).astype(np.int32)
        self.bad, self.gate, self.calls = bad, gate, []

    def __len__(self):
        return len(self.labels)

    def take(self, ids):
        self.calls.append(ids.tolist())
        if self.gate:
            self.gate.wait(10)
        if self.bad in ids:
            raise OSError(f"image {self.bad} cannot be read")
        return image_of(ids)


def image_of(ids):
    return np.broadcast_to(np.asarray(ids, np.uint8)[:, None, None, None], (len(ids), SIZE, SIZE, 3)).copy()


def store_of(split):
    return Store(
        size=SIZE,
        channels=3,
        class_names=tuple("abcde"),
        train=split,
        val=None,
        mean_image=np.zeros((SIZE, SIZE, 3), np.float32),
        color_eigenvectors=np.eye(3, dtype=np.float32),
        color_stdevs=np.array([50, 20, 10], np.float32),
        fingerprint="",
        description="",
    )


def loader_of(split=None, **changes):
    split = Numbered() if split is None else split
    asked = {"batch": 4, "crop": CROP, "training": True, "seed": 1, "augmentation": EVERYTHING}
    return Loader(split, store_of(split), **{**asked, **changes})


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("alexnet-cuda-loader")]


def arrays(batch):
    return (batch.images, batch.labels, batch.offsets, batch.flips, batch.color_shift, batch.ids)


def assert_same(batches, wanted):
    assert len(batches) == len(wanted)
    for batch, want in zip(batches, wanted, strict=True):
        for got, array in zip(arrays(batch), arrays(want), strict=True):
            assert got.dtype == array.dtype
            np.testing.assert_array_equal(got, array)


def test_every_image_comes_once_an_epoch_and_zeros_fill_the_last_batch():
    loader = loader_of()
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader) == 6
    ids = np.concatenate([batch.ids for batch in batches])
    assert ids[IMAGES:].tolist() == [-1]
    assert sorted(ids[:IMAGES].tolist()) == list(range(IMAGES))
    for batch in batches:
        real = batch.ids >= 0
        np.testing.assert_array_equal(batch.images[real], image_of(batch.ids[real]))
        np.testing.assert_array_equal(batch.labels, np.where(real, batch.ids % 5, -1))
    assert batches[-1].images[-1].max() == 0
    assert batches[-1].color_shift[-1].tolist() == [0, 0, 0]


def test_dtypes_and_shapes():
    for batch in loader_of().epoch(0):
        assert [(array.dtype.name, array.shape) for array in arrays(batch)] == [
            ("uint8", (4, SIZE, SIZE, 3)),
            ("int32", (4,)),
            ("int32", (4, 2)),
            ("uint8", (4,)),
            ("float32", (4, 3)),
            ("int64", (4,)),
        ]
        assert batch.images.flags.c_contiguous


def test_every_batch_is_one_that_augment_takes():
    for batch in loader_of().epoch(0):
        x = ops.augment(
            batch.images, crop=CROP, offsets=batch.offsets, flips=batch.flips, color_shift=batch.color_shift
        )
        assert x.shape == (3, CROP, CROP, 4)
        shift = np.zeros((4, 3)) if batch.color_shift is None else batch.color_shift
        np.testing.assert_allclose(x[:, 0, 0].T, np.maximum(batch.ids, 0)[:, None] + shift, rtol=1e-6)


def test_the_order_and_the_draws_are_those_of_augment():
    loader = loader_of(seed=9)
    order = augment.permutation(9, 4, IMAGES)
    batches = list(loader.epoch(4))
    np.testing.assert_array_equal(np.concatenate([batch.ids for batch in batches])[:IMAGES], order)
    store = store_of(Numbered())
    offsets, flips, shift = augment.draw(
        9, 4, order, size=SIZE, crop=CROP, random_crop=True, flip=True, color=0.1,
        eigenvectors=store.color_eigenvectors, stdevs=store.color_stdevs,
    )  # fmt: skip
    np.testing.assert_array_equal(np.concatenate([batch.offsets for batch in batches])[:IMAGES], offsets)
    np.testing.assert_array_equal(np.concatenate([batch.flips for batch in batches])[:IMAGES], flips)
    np.testing.assert_array_equal(np.concatenate([batch.color_shift for batch in batches])[:IMAGES], shift)


def test_epochs_and_seeds_differ():
    runs = [np.concatenate([b.ids for b in loader_of(seed=s).epoch(e)]).tolist() for s in (0, 1) for e in (0, 1)]
    assert len({tuple(run) for run in runs}) == 4


@pytest.mark.parametrize("workers, queue", [(1, 1), (1, 4), (2, 1), (2, 4), (4, 2), (4, 100)])
def test_threads_change_nothing(workers, queue):
    wanted = list(loader_of(workers=0).epoch(3))
    assert_same(list(loader_of(workers=workers, queue=queue).epoch(3)), wanted)


@pytest.mark.parametrize("workers", (0, 2))
@pytest.mark.parametrize("first", (0, 1, 5, 6))
def test_a_resumed_epoch_goes_on_as_it_would_have(first, workers):
    loader = loader_of(workers=workers)
    assert_same(list(loader.epoch(2, first)), list(loader.epoch(2))[first:])


def test_evaluation_takes_the_images_in_order_and_their_centres():
    batches = list(loader_of(training=False).epoch(0))
    assert np.concatenate([batch.ids for batch in batches]).tolist() == [*range(IMAGES), -1]
    for batch in batches:
        assert batch.color_shift is None
        assert not batch.flips.any()
        real = batch.ids >= 0
        assert (batch.offsets[real] == 1).all()


def test_no_colour_noise_is_none():
    assert all(batch.color_shift is None for batch in loader_of(augmentation=Augmentation(color=0)).epoch(0))


@pytest.mark.parametrize("dtype", (np.int64, np.int32, np.uint8))
def test_a_subset(dtype):
    subset = np.array([7, 22, 0, 3, 9], dtype)
    loader = loader_of(subset=subset)
    assert (len(loader), loader.images) == (2, 5)
    for epoch in (0, 1):
        ids = np.concatenate([batch.ids for batch in loader.epoch(epoch)])
        assert sorted(ids.tolist()) == [-1, -1, -1, 0, 3, 7, 9, 22]
    # It is a set: the order it was written in has no say.
    assert_same(list(loader_of(subset=np.sort(subset)).epoch(0)), list(loader.epoch(0)))
    whole = {id: offset for b in loader_of().epoch(0) for id, offset in zip(b.ids, b.offsets.tolist(), strict=True)}
    for batch in loader.epoch(0):  # the draws of an image do not depend on what else is trained on
        assert all(whole[i] == offset for i, offset in zip(batch.ids, batch.offsets.tolist(), strict=True) if i >= 0)


@pytest.mark.parametrize(
    "subset, says",
    [
        (np.array([[1, 2]]), r"got an array int64 \[1, 2\], wanted integers \[n\]"),
        (np.array([1.0]), r"got an array float64 \[1\], wanted integers"),
        (np.array([True, False]), "got an array bool"),
        (np.array([], np.int64), r"got an array int64 \[0\]"),
        (np.array([0, IMAGES]), "got id 23, wanted 0 to 22"),
        (np.array([-1, 0]), "got id -1, wanted 0 to 22"),
        (np.array([4, 2, 4]), "got id 4 twice"),
    ],
)
def test_bad_subsets(subset, says):
    with pytest.raises(ValueError, match=f"loader: argument 'subset': {says}"):
        loader_of(subset=subset)


@pytest.mark.parametrize(
    "change, error",
    [
        ({"batch": 0}, ValueError),
        ({"batch": 1.5}, TypeError),
        ({"crop": SIZE + 1}, ValueError),
        ({"crop": 0}, ValueError),
        ({"workers": -1}, ValueError),
        ({"queue": 0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": 1 << 64}, ValueError),
        ({"training": "yes"}, TypeError),
    ],
)
def test_bad_arguments(change, error):
    name = next(iter(change))
    with pytest.raises(error, match=f"loader: argument '{name}': got "):
        loader_of(**change)


def test_no_images_and_bad_positions():
    with pytest.raises(ValueError, match="'split': got no images"):
        loader_of(Numbered(0))
    for arguments in ((-1,), (0, 7), (0, -1)):  # said at once, not when the first batch is asked for
        with pytest.raises(ValueError, match="loader: argument"):
            loader_of().epoch(*arguments)


@pytest.mark.parametrize("workers", (0, 1, 3))
def test_an_exception_reaches_the_caller_in_its_place(workers):
    order = augment.permutation(1, 0, IMAGES)
    bad = int(order[9])  # in the third batch of 4
    batches = loader_of(Numbered(bad=bad), workers=workers).epoch(0)
    next(batches), next(batches)
    with pytest.raises(OSError, match=f"image {bad} cannot be read"):
        next(batches)
    assert next(batches, None) is None
    assert not own_threads()


@pytest.mark.parametrize("consumed", (1, 3))
def test_closing_early_ends_the_threads(consumed):
    split = Numbered(200)
    with contextlib.closing(loader_of(split, batch=2, workers=3, queue=5).epoch(0)) as batches:
        for _ in range(consumed):
            next(batches)
        assert own_threads()
    assert not own_threads()
    assert len(split.calls) <= consumed + 5
    assert next(batches, None) is None


def test_closing_does_not_wait_for_batches_that_nobody_began():
    class Slow:
        def wait(self, timeout):
            time.sleep(0.02)

    split = Numbered(200, gate=Slow())
    batches = loader_of(split, batch=2, workers=1, queue=50).epoch(0)
    next(batches)
    batches.close()  # the 50 under way would take a second
    assert not own_threads()
    assert len(split.calls) < 50


def test_nothing_runs_before_the_first_batch_is_asked_for_and_after_the_last():
    batches = loader_of().epoch(0)
    assert not own_threads()
    assert len(list(batches)) == 6
    assert not own_threads()


@pytest.mark.parametrize("queue", (1, 3))
def test_a_slow_caller_is_waited_for(queue):
    split = Numbered(100)
    with contextlib.closing(loader_of(split, batch=2, workers=2, queue=queue).epoch(0)) as batches:
        for taken in range(1, 6):
            next(batches)
            deadline = time.monotonic() + 5
            while len(split.calls) < taken + queue and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)  # time enough for one more, were one allowed
            assert len(split.calls) == taken + queue


def test_threads_work_at_the_same_time():
    together = threading.Barrier(2, timeout=10)  # breaks, and fails the batch, unless two threads meet at it
    split = Numbered(16, gate=together)
    assert len(list(loader_of(split, batch=2, workers=2, queue=4).epoch(0))) == 8
