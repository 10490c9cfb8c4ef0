"""Small images, trees of them, and the files of MNIST and CIFAR, for the tests of `prepare` and what it is made of."""

import gzip
import io
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_cuda.data.prepare import Events, prepare

SIZE = 16
SHARD = 20 * SIZE * SIZE * 3  # bytes of 20 images


def made(root, out, **options):
    """Prepare with small shards; returns what was said."""
    said = []
    prepare(root, out, events=Events(said.append), **{"size": SIZE, "shard_bytes": SHARD, "workers": 2} | options)
    return said


def blocks(seed, height=40, width=40, channels=3):
    """uint8 [h, w, channels] (or [h, w]) of random squares of 8 pixels, which JPEG keeps well."""
    shape = (-(-height // 8), -(-width // 8), channels)
    small = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = small.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return image if channels > 1 else image[..., 0]


def encoded(pixels, format="PNG", mode=None, **options):
    """The content of an image file."""
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format, **options)
    return file.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def tree(root: Path, train=5, val=2, classes=("cat", "dog")) -> Path:
    """An image folder: `train` and `val` images of each class, PNG, of several sizes."""
    for split, count in (("train", train), ("val", val)):
        for label, name in enumerate(classes):
            for i in range(count):
                seed = 1000 * label + 10 * i + (split == "val")
                image = blocks(seed, 20 + 3 * (i % 4), 20 + 5 * (i % 3))
                write(root / split / name / f"{i:02}.png", encoded(image, compress_level=1))
    return root


def idx(array) -> bytes:
    """The content of an IDX file of unsigned bytes."""
    array = np.asarray(array, np.uint8)
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def mnist(root: Path, train=6, val=4, labels=(0, 1), prefix="", compressed=False, names=("train", "t10k")):
    """A folder with the four files of MNIST; returns (train images, train labels, val images, val labels)."""
    made = []
    for split, count in zip(names, (train, val), strict=True):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        numbers = np.resize(labels, count).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", numbers)):
            data, end = (gzip.compress(idx(array)), ".gz") if compressed else (idx(array), "")
            write(root / f"{prefix}{split}-{kind}-ubyte{end}", data)
        made += [images, numbers]
    return made


def content(folder: Path) -> dict[str, bytes]:
    """Every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
