"""CIFAR-10 and CIFAR-100, binary version. The Python version is pickled, and pickle runs what it reads: it is refused.

A record is the label (CIFAR-100: coarse, then fine) and 3 x 32 x 32 bytes, planes red, green, blue.
"""

from pathlib import Path

import numpy as np

from .base import ArrayImages, Source, SourceError, numbered, some

PIXELS = 3 * 32 * 32
FOLDERS = ("cifar-10-batches-bin", "cifar-100-binary")
PYTHON_FOLDERS = ("cifar-10-batches-py", "cifar-100-python")


def read(root: Path) -> Source | None:
    """The set in folder `root`, or in the folder in it that the archive unpacks to; None if there is none."""
    inside = [root / name for name in FOLDERS if (root / name).is_dir()]
    if len(inside) > 1:
        raise SourceError(f"{root}: holds {' and '.join(FOLDERS)}; give one of the two")
    folder = inside[0] if inside else root
    batches = sorted(folder.glob("data_batch_*.bin"))
    if batches:
        return _read("CIFAR-10 batches", batches, folder / "test_batch.bin", folder / "batches.meta.txt", labels=1)
    if (folder / "train.bin").is_file():
        names = folder / "fine_label_names.txt"
        return _read("CIFAR-100 batches", [folder / "train.bin"], folder / "test.bin", names, labels=2)
    return None


def python_version(root: Path) -> bool:
    """Is this the pickled version of CIFAR-10 or CIFAR-100, or a file of it?"""
    folder = root if root.is_dir() else root.parent
    if folder.name in PYTHON_FOLDERS:
        return True
    if any((folder / name).is_dir() for name in PYTHON_FOLDERS) and not any(
        (folder / name).is_dir() for name in FOLDERS
    ):
        return True
    return (folder / "batches.meta").is_file() or all((folder / n).is_file() for n in ("meta", "train", "test"))


def _read(kind: str, batches: list[Path], test: Path, names_file: Path, labels: int) -> Source:
    train_parts = [_records(path, labels) for path in batches]
    images = np.concatenate([images for images, _ in train_parts])
    train_labels = np.concatenate([labels for _, labels in train_parts])
    files = tuple((path.name, len(part)) for path, (part, _) in zip(batches, train_parts, strict=True))
    val_images, val_labels = _records(test, labels) if test.is_file() else (None, None)
    names = _names(names_file)
    if names:
        for file, found in ((batches[0].parent, train_labels), (test, val_labels)):
            if found is not None and found.max() >= len(names):
                raise SourceError(f"{file}: label {found.max()}, but {names_file.name} names {len(names)} classes")
        missing = sorted(set(names) - {names[label] for label in np.unique(train_labels)})
        if missing:
            raise SourceError(f"{batches[0].parent}: no training images of class {some(missing)}; are files missing?")
    else:
        names, train_labels, val_labels = numbered(train_labels, val_labels)
    train = ArrayImages(images, train_labels.astype(np.int32), files)
    if val_images is None or val_labels is None:
        return Source(kind, names, train, None)
    val = ArrayImages(val_images, val_labels.astype(np.int32), ((test.name, len(val_images)),))
    return Source(kind, names, train, val)


def _records(path: Path, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """(images [n, 3, 32, 32], the last of the labels of each)."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    length = labels + PIXELS
    if not len(data) or len(data) % length:
        raise SourceError(f"{path}: {len(data):,} bytes, which is no multiple of {length}; download it again")
    records = data.reshape(-1, length)
    return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1]


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
