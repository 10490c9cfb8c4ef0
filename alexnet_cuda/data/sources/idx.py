"""IDX files: MNIST, Fashion-MNIST, KMNIST, EMNIST; plain or gzipped.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, the type (8: unsigned byte), the number of dimensions,
each size as a big-endian uint32, the data.
"""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np

from .base import ArrayImages, Source, SourceError, numbered, some

UNSIGNED_BYTE = 8
_IMAGES = re.compile(r"(?P<set>.*?)(?P<split>train|t10k|test)-images[-.]idx3-ubyte(\.gz)?")


def read(root: Path) -> Source | None:
    """The set of IDX files in folder `root`, or the one that image file `root` belongs to; None if there is none."""
    chosen = _IMAGES.fullmatch(root.name) if root.is_file() else None
    folder = root.parent if chosen else root
    if not folder.is_dir():
        return None
    found = {path.name: match for path in sorted(folder.iterdir()) if (match := _IMAGES.fullmatch(path.name))}
    sets = sorted({match["set"] for match in found.values()})
    if chosen:
        sets = [chosen["set"]]
    if not sets:
        return None
    if len(sets) > 1:
        raise SourceError(
            f"{root}: holds several sets ({some(sets)}); give the image file of one: {folder / min(found)}"
        )
    names = {match["split"]: name for name, match in reversed(found.items()) if match["set"] == sets[0]}
    if "train" not in names:
        raise SourceError(f"{root}: no {sets[0]}train-images-idx3-ubyte (or .gz) beside {some(sorted(names.values()))}")
    train_images, train_labels = _pair(folder, names["train"])
    val_name = names.get("t10k", names.get("test"))
    val_images, val_labels = _pair(folder, val_name) if val_name else (None, None)
    class_names, train_labels, val_labels = numbered(train_labels, val_labels)
    train = ArrayImages(train_images, train_labels, ((_stem(names["train"]), len(train_images)),))
    if val_images is None or val_labels is None or val_name is None:
        return Source("IDX files", class_names, train, None)
    val = ArrayImages(val_images, val_labels, ((_stem(val_name), len(val_images)),))
    return Source("IDX files", class_names, train, val)


def _stem(name: str) -> str:
    return name.removesuffix(".gz")


def _pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a file, and the labels of the file beside it."""
    stem = _stem(name)
    plain = stem.replace("-images", "-labels").replace("idx3", "idx1")
    beside = [folder / f"{plain}{end}" for end in ("", ".gz") if (folder / f"{plain}{end}").exists()]
    if not beside:
        raise SourceError(f"{folder / name}: no {plain} (or .gz) beside it, which would hold the labels")
    images, labels = load(folder / name, dimensions=3), load(beside[0], dimensions=1)
    if len(images) != len(labels):
        raise SourceError(
            f"{folder / name}: {len(images):,} images, but {len(labels):,} labels in {beside[0].name};"
            " download both again"
        )
    if not images.size:
        raise SourceError(f"{folder / name}: no images in it")
    return images, labels


def load(path: Path, *, dimensions: int) -> np.ndarray:
    """The array in an IDX file of unsigned bytes. Raises SourceError."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SourceError(f"{path}: damaged or incomplete (gzip cannot unpack it); download it again") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    start = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)) or len(data) < start:
        raise SourceError(
            f"{path}: not an IDX file of unsigned bytes in {dimensions} dimensions (it starts {data[:4]!r})"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, 4))
    wanted = int(np.prod(shape, dtype=object))
    if len(data) - start != wanted:
        raise SourceError(
            f"{path}: {len(data) - start:,} bytes of data instead of the {wanted:,} its head tells; download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
