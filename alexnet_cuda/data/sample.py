"""The embedded images: 10,000 training and 2,000 validation images of Fashion-MNIST, in sheets inside the package.

Source: Xiao, Rasul and Vollgraf, 2017, https://github.com/zalandoresearch/fashion-mnist, under the MIT licence beside
the sheets; `sample_images/make_sheets.py` made them of the first images of each class.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..ops import parameters
from .statistics import PixelSums
from .store import SPLITS, Split, Store, StoreError, describe, fingerprint

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FOLDER = Path(__file__).parent / "sample_images"
SIDE, COLUMNS = 28, 100  # pixels of an image, images in a row of a sheet; image i is of class i % 10

# sha256 of the pixels of each sheet
CHECKSUMS = {
    "train": "771de8f8124330824630625b521f0bf8e2765772a1ab65c394729f733dffb87a",
    "val": "baaf4f8ce8fe7e18a34dba52f49b76277329dd03e530b51e8111884425a7778a",
}
_CHUNK = 500  # images resized at once


def sample(size: int = 36, channels: int = 3) -> Store:
    """The embedded images as a store, resized to `size` pixels a side as `prepare` does it.

    channels: 3 for grey as RGB, or 1. A second call gives the same store; its arrays cannot be written to.
    Raises ValueError for other sizes and channels, StoreError where the sheets are missing or damaged.
    """
    size = parameters.integer("sample", "size", size, minimum=1)
    if channels not in (1, 3):
        raise ValueError(f"sample: argument 'channels': got {channels!r}, wanted 1 or 3")
    return _store(size, int(channels))


class _GreyAsRGB(Split):
    """A split of one channel that gives its images three, which memory need not hold."""

    def take(self, ids: np.ndarray) -> np.ndarray:
        grey = super().take(ids)
        rgb = np.empty((*grey.shape[:3], 3), np.uint8)
        for channel in range(3):
            rgb[..., channel] = grey[..., 0]
        return rgb


@functools.cache
def _store(size: int, channels: int) -> Store:
    images = {name: _resized(_cut(_sheet(name)), size) for name in SPLITS}
    labels = {name: np.arange(len(grey), dtype=np.int32) % len(CLASS_NAMES) for name, grey in images.items()}
    _protect(*images.values(), *labels.values())
    kind = Split if channels == 1 else _GreyAsRGB
    splits = {name: kind(name, labels[name], (images[name][..., None],), _source_in(name)) for name in SPLITS}
    sums = _sums(images["train"], channels)
    mean_image = sums.mean_image()
    eigenvectors, stdevs = sums.principal_colors()
    _protect(mean_image, eigenvectors, stdevs)
    return Store(
        size=size,
        channels=channels,
        class_names=CLASS_NAMES,
        train=splits["train"],
        val=splits["val"],
        mean_image=mean_image,
        color_eigenvectors=eigenvectors,
        color_stdevs=stdevs,
        fingerprint=fingerprint(
            size,
            channels,
            CLASS_NAMES,
            {name: hashlib.sha256(array.data).hexdigest() for name, array in labels.items()},
            {name: [hashlib.sha256(array.data).hexdigest()] for name, array in images.items()},
        ),
        description=describe(
            "embedded Fashion-MNIST",
            {name: len(split) for name, split in splits.items()},
            len(CLASS_NAMES),
            size,
            channels,
        ),
    )


def _protect(*arrays: np.ndarray) -> None:
    """All callers share these: none shall write to them."""
    for array in arrays:
        array.setflags(write=False)


def _sheet(name: str) -> np.ndarray:
    """The pixels of a sheet, uint8 [height, width]."""
    from PIL import Image

    path = FOLDER / f"{name}.png"
    try:
        with Image.open(path) as image:
            pixels = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged PNG files
        raise StoreError(f"{path}: embedded images cannot be read ({error}); install alexnet-cuda again") from error
    if hashlib.sha256(pixels.data).hexdigest() != CHECKSUMS[name]:
        raise StoreError(f"{path}: embedded images are not those of this version; install alexnet-cuda again")
    return pixels


def _cut(sheet: np.ndarray) -> np.ndarray:
    """The images of a sheet, uint8 [n, 28, 28], along its rows."""
    return sheet.reshape(-1, SIDE, COLUMNS, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE)


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """What `decode.fit` makes of each image, uint8 [n, size, size], but many images at a time."""
    out = np.empty((len(images), size, size), np.uint8)
    for start in range(0, len(images), _CHUNK):
        # Pillow resizes along the rows first and then along the columns, rounding in between, as is done here.
        wide = _with_rows_resized(images[start : start + _CHUNK], size)
        out[start : start + _CHUNK] = _with_rows_resized(wide.transpose(0, 2, 1), size).transpose(0, 2, 1)
    return out


def _with_rows_resized(images: np.ndarray, size: int) -> np.ndarray:
    """[n, h, w] -> [n, h, size]: one tall image for Pillow, whose rows know nothing of each other."""
    from PIL import Image

    n, h, w = images.shape
    tall = Image.fromarray(np.ascontiguousarray(images).reshape(n * h, w))
    return np.asarray(tall.resize((size, n * h), Image.Resampling.BICUBIC)).reshape(n, h, size)


def _sums(grey: np.ndarray, channels: int) -> PixelSums:
    """The sums over images [n, S, S] whose channels are all the same."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(grey), _CHUNK):
        counts += np.bincount(grey[start : start + _CHUNK].reshape(-1), minlength=256)
    squares = int((counts * np.arange(256) ** 2).sum())
    pixels = grey.sum(axis=0, dtype=np.uint64)
    return PixelSums(len(grey), np.repeat(pixels[..., None], channels, axis=-1), np.full((channels, channels), squares))


def _source_in(name: str) -> Callable[[int], str]:
    """Where an image of a split came from."""
    return lambda id: f"sample_images/{name}.png, row {id // COLUMNS}, column {id % COLUMNS}"
