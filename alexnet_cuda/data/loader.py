"""Minibatches of stored images, read ahead by threads; what they hold does not depend on the threads.

Images stay bytes: crop, mirror, colour and mean are for `ops.augment`, which gets the numbers drawn here.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from ..nn.recipe import Augmentation
from ..ops import parameters
from . import augment
from .store import Split, Store

AUGMENTATION = Augmentation()  # the paper's crops and mirror images, without colour noise


@dataclass(frozen=True)
class Batch:
    """A minibatch, always of N images: behind the last image of an epoch, zeros with label and id -1 fill it up."""

    images: np.ndarray  # uint8 [N, S, S, channels], as stored
    labels: np.ndarray  # int32 [N]
    offsets: np.ndarray  # int32 [N, 2], the (y, x) of each crop
    flips: np.ndarray  # uint8 [N]
    color_shift: np.ndarray | None  # float32 [N, channels]
    ids: np.ndarray  # int64 [N], positions in the split


class Loader:
    """The minibatches of a split, epoch by epoch; every image once in each.

    split, store: the images, and whose colour statistics the noise has. batch: images; crop: side of the crop in
    pixels. training: images shuffled, and cropped, mirrored and coloured at random as `augmentation` says; otherwise
    in order, and from the centre. seed: 64 bits, of all that is drawn. workers: threads, 0 to work in the caller's
    own; queue: batches that may be under way or wait for the caller. subset: ids of the images to use, in any order.

    Raises TypeError or ValueError for arguments that do not fit.
    """

    def __init__(
        self, split: Split, store: Store, *, batch: int, crop: int, training: bool, seed: int = 0,
        augmentation: Augmentation = AUGMENTATION, workers: int = 2, queue: int = 4, subset: np.ndarray | None = None,
    ):  # fmt: skip
        self.batch = parameters.integer("loader", "batch", batch, minimum=1)
        self._crop = parameters.integer("loader", "crop", crop, minimum=1, maximum=store.size)
        self._seed = parameters.integer("loader", "seed", seed, minimum=0, maximum=(1 << 64) - 1)
        self._workers = parameters.integer("loader", "workers", workers, minimum=0)
        self._queue = parameters.integer("loader", "queue", queue, minimum=1)
        self._training = parameters.flag("loader", "training", training)
        self._split, self._store, self._augmentation = split, store, augmentation
        self._ids = _all_or(subset, len(split))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._ids) // self.batch)

    @property
    def images(self) -> int:
        """Images in an epoch."""
        return len(self._ids)

    def epoch(self, number: int, first: int = 0) -> Generator[Batch, None, None]:
        """The batches of epoch `number`, counted from 0, from batch `first` on.

        Closing the generator (`contextlib.closing`) ends its threads. An exception in a thread is raised here.
        """
        number = parameters.integer("loader", "number", number, minimum=0, maximum=parameters.UINT32_MAX)
        first = parameters.integer("loader", "first", first, minimum=0, maximum=len(self))
        return self._run(number, first)

    def _run(self, epoch: int, first: int) -> Generator[Batch, None, None]:
        ids = self._ids
        if self._training:
            ids = ids[augment.permutation(self._seed, epoch, len(ids))]
        parts = (ids[i * self.batch : (i + 1) * self.batch] for i in range(first, len(self)))
        make = partial(self._make, epoch)
        if self._workers == 0:
            yield from map(make, parts)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="alexnet-cuda-loader")
        try:
            ahead: deque[Future[Batch]] = deque(pool.submit(make, part) for part in islice(parts, self._queue))
            while ahead:
                batch = ahead.popleft().result()
                ahead.extend(pool.submit(make, part) for part in islice(parts, 1))  # made while the caller works
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)

    def _make(self, epoch: int, ids: np.ndarray) -> Batch:
        offsets, flips, color_shift = self._drawn(epoch, ids)
        batch = Batch(self._split.take(ids), self._split.labels[ids], offsets, flips, color_shift, ids)
        missing = self.batch - len(ids)
        return _padded(batch, missing) if missing else batch

    def _drawn(self, epoch: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        if not self._training:
            return *augment.centre(len(ids), self._store.size, self._crop), None
        return augment.draw(
            self._seed,
            epoch,
            ids,
            size=self._store.size,
            crop=self._crop,
            random_crop=self._augmentation.random_crop,
            flip=self._augmentation.flip,
            color=self._augmentation.color,
            eigenvectors=self._store.color_eigenvectors,
            stdevs=self._store.color_stdevs,
        )


def _all_or(subset: np.ndarray | None, n: int) -> np.ndarray:
    """Ascending ids: all n, or those of the subset."""
    if n == 0:
        raise ValueError("loader: argument 'split': got no images, wanted at least one")
    if subset is None:
        return np.arange(n)
    subset = np.asarray(subset)
    got = f"an array {subset.dtype} {list(subset.shape)}"
    if subset.ndim != 1 or subset.dtype.kind not in "iu" or subset.size == 0:
        raise ValueError(f"loader: argument 'subset': got {got}, wanted integers [n], the ids of images")
    ids = np.sort(subset)
    outside = ids[(ids < 0) | (ids >= n)]
    if outside.size:
        raise ValueError(f"loader: argument 'subset': got id {outside[0]}, wanted 0 to {n - 1}")
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if repeated.size:
        raise ValueError(f"loader: argument 'subset': got id {repeated[0]} twice, wanted each id once")
    return ids.astype(np.int64)


def _padded(batch: Batch, missing: int) -> Batch:
    """The batch with `missing` images more, of zeros and without a label."""

    def longer(array: np.ndarray, value: int) -> np.ndarray:
        filler = np.full((missing, *array.shape[1:]), value, array.dtype)
        return np.concatenate([array, filler])

    return Batch(
        images=longer(batch.images, 0),
        labels=longer(batch.labels, -1),
        offsets=longer(batch.offsets, 0),
        flips=longer(batch.flips, 0),
        color_shift=None if batch.color_shift is None else longer(batch.color_shift, 0),
        ids=longer(batch.ids, -1),
    )
