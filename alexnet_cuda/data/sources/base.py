"""What all sources give: images by number, with labels, names, and a stamp that changes when they do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..decode import Decoded, decode_with_notes, fit


class SourceError(ValueError):
    """A folder or file holds no images this program can use; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What an image is made into. size: side in pixels; channels: 3 (RGB) or 1 (grey); the rest as in `decode`."""

    size: int = 256
    channels: int = 3
    allow_truncated: bool = False
    exif_orientation: bool = False


class Images(Protocol):
    """The images of one split, in a fixed order."""

    @property
    def labels(self) -> np.ndarray:
        """int32 [n]."""

    def name(self, index: int) -> str:
        """Where an image comes from, for people."""

    def stamp(self, indices: np.ndarray) -> str:
        """A checksum of what is known of these images without decoding them."""

    def decode(self, index: int, settings: Settings) -> Decoded:
        """An image. Raises BadImage."""


@dataclass(frozen=True)
class FileImages:
    """One file for each image. paths: relative to `root`; sizes and times (ns of the last change): int64 [n]."""

    root: Path
    paths: Sequence[str]
    labels: np.ndarray
    sizes: np.ndarray
    times: np.ndarray

    def name(self, index: int) -> str:
        return self.paths[index]

    def stamp(self, indices: np.ndarray) -> str:
        digest = hashlib.sha256()
        for index in indices:
            line = f"{self.paths[index]}\0{self.labels[index]}\0{self.sizes[index]}\0{self.times[index]}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def decode(self, index: int, settings: Settings) -> Decoded:
        return decode_with_notes(
            self.root / self.paths[index],
            settings.size,
            settings.channels,
            allow_truncated=settings.allow_truncated,
            exif_orientation=settings.exif_orientation,
            name=self.paths[index],
        )


@dataclass(frozen=True)
class ArrayImages:
    """Images read whole: uint8 [n, h, w] or, planes first, [n, 3, h, w]. files: (name, images) of each file."""

    images: np.ndarray
    labels: np.ndarray
    files: tuple[tuple[str, int], ...]

    def name(self, index: int) -> str:
        starts = np.cumsum([0, *(count for _, count in self.files)])
        file = int(np.searchsorted(starts, index, side="right")) - 1
        return f"{self.files[file][0]}#{index - starts[file]}"

    def stamp(self, indices: np.ndarray) -> str:
        digest = hashlib.sha256(self.labels[indices].tobytes())
        for index in indices:
            digest.update(self.images[index].tobytes())
        return digest.hexdigest()

    def decode(self, index: int, settings: Settings) -> Decoded:
        from PIL import Image

        pixels = self.images[index]
        image = Image.fromarray(pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        notes = (f"enlarged (shorter side below {settings.size})",) if min(image.size) < settings.size else ()
        return Decoded(fit(image, settings.size, settings.channels), notes)


@dataclass(frozen=True)
class Part:
    """Some images of another split."""

    whole: Images
    indices: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return self.whole.labels[self.indices]

    def name(self, index: int) -> str:
        return self.whole.name(int(self.indices[index]))

    def stamp(self, indices: np.ndarray) -> str:
        return self.whole.stamp(self.indices[indices])

    def decode(self, index: int, settings: Settings) -> Decoded:
        return self.whole.decode(int(self.indices[index]), settings)


@dataclass(frozen=True)
class Source:
    """Everything there is to prepare. kind: of source, for people; remarks: what they should hear about it."""

    kind: str
    class_names: tuple[str, ...]
    train: Images
    val: Images | None
    remarks: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, Images]:
        return {"train": self.train} if self.val is None else {"train": self.train, "val": self.val}


def hold_out(source: Source, fraction: float) -> Source:
    """Move `fraction` of each class's training images, evenly spaced and at least one, into a validation split.

    Raises SourceError where there is one already, or a class has a single image.
    """
    if source.val is not None:
        raise SourceError("the source has validation images already; leave out --val-fraction")
    if not 0 < fraction < 1:
        raise SourceError(f"--val-fraction: got {fraction}, wanted a number between 0 and 1")
    labels = source.train.labels
    held = np.zeros(len(labels), bool)
    for label, name in enumerate(source.class_names):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) < 2:
            raise SourceError(f"class {name!r} has a single image, which --val-fraction cannot split")
        count = min(max(1, round(fraction * len(of_class))), len(of_class) - 1)
        held[of_class[(np.arange(count) * len(of_class)) // count]] = True
    train, val = (Part(source.train, np.flatnonzero(choice)) for choice in (~held, held))
    return replace(source, train=train, val=val)


def same_classes(train: set[str], val: set[str]) -> None:
    """Raises SourceError, with the difference, unless both splits have the same classes."""
    differences = [
        f"only in {where}: {some(sorted(names))}"
        for where, names in (("train", train - val), ("val", val - train))
        if names
    ]
    if differences:
        raise SourceError(
            f"train and val have different classes ({'; '.join(differences)}); add, remove or rename until both agree"
        )


def numbered(train: np.ndarray, val: np.ndarray | None) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None]:
    """Labels that are any small numbers, as classes 0, 1, ...: (class names, labels of train, of val)."""
    values = np.unique(train)
    names = tuple(str(value) for value in values)
    if val is None:
        return names, np.searchsorted(values, train).astype(np.int32), None
    same_classes(set(names), {str(value) for value in np.unique(val)})
    return names, np.searchsorted(values, train).astype(np.int32), np.searchsorted(values, val).astype(np.int32)


def some(names: Sequence[str], most: int = 5) -> str:
    """'a', 'b' and 3 more."""
    listed = ", ".join(map(repr, names[:most]))
    return f"{listed} and {len(names) - most:,} more" if len(names) > most else listed


def alike(names: Sequence[str]) -> list[str]:
    """Names that differ in nothing but the size of their letters, or in spaces around them."""
    counts = Counter(name.strip().lower() for name in names)
    return [name for name in names if counts[name.strip().lower()] > 1]
