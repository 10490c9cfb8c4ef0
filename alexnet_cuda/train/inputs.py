"""Images as users have them (arrays, files, Pillow's) to images as a store has them."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from ..data import decode

Images = Any  # what `images` takes; too many types to list where each is checked


def as_list(images: Images) -> Any:
    """One path or one Pillow image becomes a list of one; arrays [n, H, W, C] and sequences stay.

    Raises TypeError or ValueError for anything else.
    """
    if isinstance(images, (str, os.PathLike)) or _is_pillow(images):
        return [images]
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim != 4:
            got = f"{images.dtype} {list(images.shape)}"
            raise ValueError(f"images: got an array {got}, wanted uint8 [n, H, W, C], values 0 to 255")
        return images
    if isinstance(images, (list, tuple)):
        return images
    raise TypeError(f"images: got a {type(images).__name__}, wanted an array, paths or Pillow images")


def stored(images: Any, size: int, channels: int) -> np.ndarray:
    """uint8 [n, size, size, channels] of images from `as_list`: decoded, resized and centre-cropped as a store's.

    An array that has this size already is taken as it is. Photographs are turned as their EXIF data says. Raises
    `decode.BadImage`, which names the file, for one that cannot be read.
    """
    if isinstance(images, np.ndarray) and images.shape[1:] == (size, size, channels):
        return images
    out = np.empty((len(images), size, size, channels), np.uint8)
    for image, pixels in zip(images, out, strict=True):
        pixels[...] = _one(image, size, channels)
    return out


def _one(image: Any, size: int, channels: int) -> np.ndarray:
    if isinstance(image, (str, os.PathLike)):
        return decode.decode(image, size, channels, exif_orientation=True)
    if _is_pillow(image):
        return _pillow(image, size, channels)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"images: got a {type(image).__name__} among them, wanted paths or Pillow images")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        got = f"{image.dtype} {list(image.shape)}"
        raise ValueError(f"images: got one of {got}, wanted uint8 [H, W, 1] or [H, W, 3], values 0 to 255")
    from PIL import Image

    return decode.fit(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image), size, channels)


def _pillow(image: Any, size: int, channels: int) -> np.ndarray:
    """Through the bytes of a lossless file, so that a mode has the same meaning as in a file."""
    from PIL import ImageOps

    content = io.BytesIO()
    plain = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    try:
        ImageOps.exif_transpose(image).save(content, "PNG" if plain else "TIFF")
    except (OSError, KeyError) as error:
        raise ValueError(f"images: a Pillow image of mode {image.mode} ({error}); use image.convert('RGB')") from error
    return decode.decode(content.getvalue(), size, channels)


def _is_pillow(image: Any) -> bool:
    """Without importing Pillow: who has one of its images has imported it."""
    return any(f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(image).__mro__)
