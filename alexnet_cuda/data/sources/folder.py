"""Image folders: train/<class>/<image> and val/<class>/<image>, or <class>/<image>, which is all for training.

Classes and files are in the order of their names.
"""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..decode import image_suffixes
from ..manifest import of_store
from .base import FileImages, Source, SourceError, alike, same_classes, some
from .val_labels import read_labels

NOT_CLASSES = {"__MACOSX"}
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}


def read(root: Path, val_labels: Path | None = None) -> Source:
    """The images in folder `root`. val_labels: a file with lines "image class", for images loose in `root`/val.

    Raises SourceError.
    """
    train = _training(root)
    names = train.classes()
    remarks = _remarks(train, names)
    files = [(file, label) for label, name in enumerate(names) for file in train.of_class(name)]
    val_files = None
    if (root / "val").is_dir():
        val = _Listing(root, "val")
        val_files = _labelled(val, val_labels, names) if val_labels else _sorted(val, names)
        remarks += _remarks(val, [] if val_labels else val.classes())
    elif val_labels:
        raise SourceError(f"--val-labels {val_labels}: there is no folder {root / 'val'}")
    return Source(
        "image folders",
        tuple(names),
        _images(root, files),
        None if val_files is None else _images(root, val_files),
        tuple(remarks),
    )


def expected(root: Path) -> str:
    """The tree that is wanted, for messages."""
    return f"expected {root}/train/<class>/<image> and {root}/val/<class>/<image>, or {root}/<class>/<image>"


def _training(root: Path) -> "_Listing":
    """The images in `root`/train, or in `root` itself if there is neither that nor `root`/val."""
    split = "" if not (root / "train").is_dir() and not (root / "val").is_dir() else "train"
    train = _Listing(root, split)
    problem = None
    if not split:
        _refuse_one_split(root)
        problem = _no_class_folders(train)
    elif not any(train.of_class(name) for name in train.classes()):
        problem = "no images in its folder 'train'" if (root / "train").is_dir() else "no folder 'train' in it"
    if problem:
        raise SourceError(f"{root}: {problem}; {expected(root)}")
    _refuse_empty(train, train.classes())
    return train


def _refuse_one_split(root: Path) -> None:
    place = root.resolve()
    above = place.parent
    if place.name in ("train", "val") and (above / "train").is_dir() and (above / "val").is_dir():
        raise SourceError(
            f"{root}: no folder 'train' in it; expected the folder above, {above}, which has train and val"
        )


def _no_class_folders(listing: "_Listing") -> str | None:
    """Why the folders in a folder without `train` cannot be classes: it may be any folder, given by mistake."""
    names = listing.classes()
    if splits := [name for name in names if name.lower() in SPLIT_NAMES]:
        return f"no folder 'train' in it, but {some(splits)}"
    if not any(listing.of_class(name) for name in names):
        return "no folder 'train' in it"
    if len(names) == 1:
        return f"no folder 'train' in it, and {names[0]!r} alone is not enough for classes"
    deep = [name for name in names if all(file.path.count("/") > 1 for file in listing.of_class(name))]
    if deep:
        return f"no folder 'train' in it, and no images directly in {some(deep)}"
    return None


class _File(NamedTuple):
    path: str
    size: int
    time: int


@dataclass
class _Listing:
    """What is in one split's folder ("" for the root): `loose` image files, and those of each class."""

    root: Path
    split: str
    loose: list[_File] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    _classes: dict[str, list[_File]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.root / self.split).is_dir():
            return
        for entry in self._entries(self.split):
            path = os.path.join(self.split, entry.name)
            if self._is_folder(entry, follow=True):
                if of_store(self.root / path / "records" / "options.json"):
                    continue  # made from here, into here: it must not stop the run that goes on with it
                if entry.name in NOT_CLASSES or not _printable(entry.name):
                    self.ignored.append(path)
                else:
                    self._classes[entry.name] = self._walk(path)
            else:
                self.loose += self._file(entry, path)

    def classes(self) -> list[str]:
        return list(self._classes)

    def of_class(self, name: str) -> list[_File]:
        return self._classes[name]

    def all_files(self) -> list[_File]:
        return self.loose + [file for files in self._classes.values() for file in files]

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Sorted by name; hidden ones are put aside."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(f"{self.root / folder}: cannot be read: {error.strerror or error}") from None
        self.ignored += [os.path.join(folder, entry.name) for entry in found if entry.name.startswith(".")]
        return [entry for entry in found if not entry.name.startswith(".")]

    def _walk(self, folder: str) -> list[_File]:
        files = []
        for entry in self._entries(folder):
            path = f"{folder}/{entry.name}"
            if not self._is_folder(entry, follow=True):
                files += self._file(entry, path)
            elif self._is_folder(entry, follow=False):
                files += self._walk(path)
            else:  # a link to a folder, down here, may lead in a circle
                self.ignored.append(path)
        return files

    @staticmethod
    def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
        try:
            return entry.is_dir(follow_symlinks=follow)
        except OSError:  # a circle of links; reading it will say so
            return False

    def _file(self, entry: os.DirEntry[str], path: str) -> list[_File]:
        """The file, if its name does not say that it is no image. What it holds is seen when it is decoded."""
        suffix = os.path.splitext(entry.name)[1].lower()
        if (suffix and suffix not in image_suffixes()) or not _one_line(entry.name):
            self.ignored.append(path)
            return []
        try:
            facts = entry.stat()
        except OSError:  # a broken link: counted as unreadable when its turn comes
            return [_File(path, -1, -1)]
        if not stat.S_ISREG(facts.st_mode):
            self.ignored.append(path)
            return []
        return [_File(path, facts.st_size, facts.st_mtime_ns)]


def _one_line(name: str) -> bool:
    return "\n" not in name and "\r" not in name


def _printable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return _one_line(name)


def _refuse_empty(listing: _Listing, names: list[str]) -> None:
    empty = [name for name in names if not listing.of_class(name)]
    if empty:
        raise SourceError(
            f"{listing.root / listing.split}: class folders without images: {some(empty)}; fill or remove them"
        )


def _sorted(val: _Listing, names: list[str]) -> list[tuple[_File, int]]:
    """The images of class folders in `val`, with labels."""
    flat = len(val.classes()) <= 1 < len(names) or not any(val.of_class(name) for name in val.classes())
    files = val.all_files()
    if files and flat and set(val.classes()) != set(names):
        raise SourceError(
            f"{val.root / 'val'}: {len(files):,} images that are not sorted into class folders;"
            " sort them, or pass --val-labels FILE with a line 'image class' for each"
        )
    _refuse_empty(val, val.classes())
    same_classes(set(names), set(val.classes()))
    return [(file, label) for label, name in enumerate(names) for file in val.of_class(name)]


def _labelled(val: _Listing, val_labels: Path, names: list[str]) -> list[tuple[_File, int]]:
    """All images in `val`, with the labels that a file gives them."""
    if set(val.classes()) & set(names):
        raise SourceError(f"{val.root / 'val'} has class folders already; leave out --val-labels")
    files = sorted(val.all_files(), key=lambda file: os.path.basename(file.path))
    if not files:
        raise SourceError(f"{val.root / 'val'}: no images")
    labels = read_labels(val_labels, [os.path.basename(file.path) for file in files], names)
    same_classes(set(names), {names[label] for label in labels})
    return list(zip(files, labels, strict=True))


def _images(root: Path, files: list[tuple[_File, int]]) -> FileImages:
    return FileImages(
        root,
        [file.path for file, _ in files],
        np.array([label for _, label in files], np.int32),
        np.array([file.size for file, _ in files], np.int64),
        np.array([file.time for file, _ in files], np.int64),
    )


def _remarks(listing: _Listing, names: list[str]) -> list[str]:
    """What people should hear of, though it stops nothing."""
    remarks = []
    folder = listing.root / listing.split
    if listing.ignored:
        remarks.append(
            f"ignored in {folder}, by their names:"
            f" {some([os.path.relpath(path, listing.split or os.curdir) for path in listing.ignored])}"
        )
    if names and listing.loose:
        loose = [os.path.basename(file.path) for file in listing.loose]
        remarks.append(f"ignored in {folder}, images outside the class folders: {some(loose)}")
    if similar := alike(names):
        remarks.append(f"class folders in {folder} whose names are nearly the same: {some(similar)}")
    twice: list[str] = []
    for name in names:
        stems = Counter(os.path.splitext(file.path)[0] for file in listing.of_class(name))
        twice += [stem for stem, count in stems.items() if count > 1]
    if twice:
        remarks.append(f"images in {folder} whose names differ in the ending only, all of them used: {some(twice)}")
    return remarks
