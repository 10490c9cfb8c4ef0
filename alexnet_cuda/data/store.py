"""The prepared store: uint8 images in memory-mapped shards, with everything training wants to know about them.

A store is a folder. `manifest.json` is written last and names every other file with its size and checksum, so that a
folder with a manifest is a whole store. `prepare` writes stores; `in_memory` makes one of arrays.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .manifest import (
    MANIFEST,
    SPLITS,
    Lines,
    StoreError,
    again,
    check_size,
    describe,
    fingerprint,
    load,
    manifest_files,
    read_manifest,
)
from .statistics import PixelSums

LARGE = 1 << 14  # bytes of an image from which copying one at a time beats copying a shard's share twice


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split ("train" or "val"); an image's id is its index.

    labels: int32 [n]; shards: uint8 [., S, S, channels] each, memory-mapped or not; name_of: where an image came from.
    """

    name: str
    labels: np.ndarray = field(repr=False)
    shards: tuple[np.ndarray, ...] = field(repr=False)
    name_of: Callable[[int], str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first id of each shard, and behind them the number of images."""
        return np.cumsum([0, *(len(shard) for shard in self.shards)])

    def take(self, ids: np.ndarray) -> np.ndarray:
        """uint8 [len(ids), S, S, channels], in the order of `ids`. Raises ValueError for ids that are not there."""
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"{self.name}: ids: got {ids.dtype} {list(ids.shape)}, wanted a list of integers")
        if ids.size and (ids.min() < 0 or ids.max() >= len(self)):
            raise ValueError(f"{self.name}: ids: got {ids.min()} to {ids.max()}, wanted 0 to {len(self) - 1}")
        out = np.empty((len(ids), *self.shards[0].shape[1:]), np.uint8)
        which = np.searchsorted(self._starts, ids, side="right") - 1
        order = np.lexsort((ids, which))  # ascending in the file, which is how a disk likes to be read
        rows = ids[order] - self._starts[which[order]]
        bounds = np.flatnonzero(np.diff(which[order], prepend=-1, append=-1))
        for first, last in zip(bounds[:-1], bounds[1:], strict=True):
            shard = self.shards[which[order[first]]]
            if shard[0].nbytes < LARGE:
                out[order[first:last]] = shard[rows[first:last]]
            else:
                for position, row in zip(order[first:last], rows[first:last], strict=True):
                    out[position] = shard[row]
        return out

    def source(self, id: int) -> str:
        """Where image `id` came from, for reports: a path relative to the source, or "t10k-images-idx3-ubyte#17"."""
        return self.name_of(id) if self.name_of else f"{self.name}#{id}"


@dataclass(frozen=True, eq=False)
class Store:
    """Images, labels and statistics.

    mean_image: float32 [S, S, channels], of the training split; color_eigenvectors: float32 [channels, channels], the
    principal directions of its pixels' colours, one in each row, largest first; color_stdevs: float32 [channels], the
    standard deviations along them, in units of 0..255; fingerprint: sha256 over all that a training run depends on;
    description: one line; path: the folder, or None.
    """

    size: int
    channels: int
    class_names: tuple[str, ...]
    train: Split
    val: Split | None
    mean_image: np.ndarray = field(repr=False)
    color_eigenvectors: np.ndarray = field(repr=False)
    color_stdevs: np.ndarray = field(repr=False)
    fingerprint: str
    description: str
    path: Path | None = None


def in_memory(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray] | None,
    class_names: Sequence[str],
    title: str,
    sources: dict[str, Callable[[int], str]] | None = None,
) -> Store:
    """A store of arrays: `train` and `val` are (images uint8 [n, S, S, channels], labels [n]).

    title: begins the description; sources: for "train" and "val", where an image came from.
    Raises ValueError for images of another kind, and labels that are not 0 to len(class_names) - 1.
    """
    splits = {}
    for name, pair in zip(SPLITS, (train, val), strict=True):
        if pair is None:
            continue
        images, labels = np.ascontiguousarray(pair[0]), np.asarray(pair[1], np.int32)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2]:
            raise ValueError(f"{name}: got {images.dtype} {list(images.shape)}, wanted uint8 [n, S, S, channels]")
        if labels.shape != images.shape[:1] or not len(labels):
            raise ValueError(f"{name}: got labels {list(labels.shape)} for {len(images)} images")
        if labels.min() < 0 or labels.max() >= len(class_names):
            raise ValueError(f"{name}: labels go from {labels.min()} to {labels.max()} for {len(class_names)} classes")
        splits[name] = Split(name, labels, (images,), (sources or {}).get(name))
    size, channels = splits["train"].shards[0].shape[2:]
    sums = PixelSums.zero(size, channels)
    sums.add(splits["train"].shards[0])
    eigenvectors, stdevs = sums.principal_colors()
    pixel_sums = {name: [hashlib.sha256(split.shards[0].data).hexdigest()] for name, split in splits.items()}
    label_sums = {name: hashlib.sha256(split.labels.data).hexdigest() for name, split in splits.items()}
    counts = {name: len(split) for name, split in splits.items()}
    return Store(
        size=size,
        channels=channels,
        class_names=tuple(class_names),
        train=splits["train"],
        val=splits.get("val"),
        mean_image=sums.mean_image(),
        color_eigenvectors=eigenvectors,
        color_stdevs=stdevs,
        fingerprint=fingerprint(size, channels, class_names, label_sums, pixel_sums),
        description=describe(title, counts, len(class_names), size, channels),
    )


def open(path: str | os.PathLike[str]) -> Store:
    """The prepared store in folder `path`. Sizes of all files are checked, checksums of the small ones; see `verify`.

    Raises StoreError if there is none, if another version made it, or if a file is missing or has another size.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    try:
        return _open(folder, manifest)
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StoreError(f"{folder}: {MANIFEST} is damaged; {again(folder)}") from None


def verify(store: Store | str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> None:
    """Read a prepared store whole and compare every checksum. progress: called with (files done, files).

    Raises StoreError naming the files that are damaged; `prepare` with the same arguments rebuilds only those.
    """
    path = store.path if isinstance(store, Store) else store
    if path is None:  # in memory
        return
    folder = Path(path)
    open(folder)
    entries = manifest_files(read_manifest(folder))
    damaged = []
    for done, entry in enumerate(entries):
        if progress:
            progress(done, len(entries))
        if files.sha256(folder / entry["file"]) != entry["sha256"]:
            damaged.append(entry["file"])
    if damaged:
        more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
        raise StoreError(f"{folder}: checksum wrong: {', '.join(damaged[:5])}{more}; {again(folder)}")


def _open(folder: Path, manifest: dict[str, Any]) -> Store:
    for entry in manifest_files(manifest):
        check_size(folder, entry)
    size, channels = manifest["size"], manifest["channels"]
    image = (size, size, channels)
    splits = {}
    for name, split in manifest["splits"].items():
        shards = []
        for entry in split["shards"]:
            shard = load(folder, entry, mapped=entry["count"] > 0)
            if shard.shape != (entry["count"], *image) or shard.dtype != np.uint8:
                raise StoreError(f"{folder}: {entry['file']} is damaged; {again(folder)}")
            shards.append(shard)
        labels = load(folder, split["labels"])
        splits[name] = Split(name, labels, tuple(shards), Lines(folder / split["sources"]["file"]))
        if len(labels) != sum(len(shard) for shard in shards):
            raise StoreError(f"{folder}: {MANIFEST} is damaged; {again(folder)}")
    found = fingerprint(
        size,
        channels,
        manifest["class_names"],
        {name: split["labels"]["sha256"] for name, split in manifest["splits"].items()},
        {name: [entry["sha256"] for entry in split["shards"]] for name, split in manifest["splits"].items()},
    )
    if found != manifest["fingerprint"]:
        raise StoreError(f"{folder}: {MANIFEST} is damaged; {again(folder)}")
    counts = {name: len(split) for name, split in splits.items()}
    return Store(
        size=size,
        channels=channels,
        class_names=tuple(manifest["class_names"]),
        train=splits["train"],
        val=splits.get("val"),
        mean_image=load(folder, manifest["mean_image"]),
        color_eigenvectors=np.array(manifest["color_eigenvectors"], np.float32),
        color_stdevs=np.array(manifest["color_stdevs"], np.float32),
        fingerprint=found,
        description=describe(folder.name or str(folder), counts, len(manifest["class_names"]), size, channels),
        path=folder,
    )
