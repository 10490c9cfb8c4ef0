"""One image, in any format Pillow reads, to uint8 [size, size, channels].

The centre square of the shorter side is resized to `size` with an antialiased bicubic filter: the shorter side to
`size`, then the centre crop, without computing what the crop throws away. What an image holds decides how it is read,
not its name. Grey becomes RGB, CMYK and YCCK are converted, transparency is put on white, 16 bits become the upper 8.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB
RETRIES = 3
RETRY_SECONDS = 0.05
FIRST = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # some rare formats have no mark and take long to say no
# Pillow hands EPS to Ghostscript, which runs it as a program; the others it only recognises.
LEFT_OUT = ("EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF")

TRUNCATED = "truncated, the rest filled in"
DAMAGED_TAGS = "damaged EXIF data ignored"

_seen = threading.local()


class BadImage(ValueError):  # noqa: N818 - what it is, as in `except BadImage`
    """An image that cannot be used: `path` says which, `reason` why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 [size, size, channels]; notes: what had to be done to the image, for a report."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def decode(
    source: str | os.PathLike[str] | bytes,
    size: int,
    channels: int = 3,
    *,
    allow_truncated: bool = False,
    exif_orientation: bool = False,
    name: str | None = None,
) -> np.ndarray:
    """The pixels of an image, uint8 [size, size, channels]; channels: 3 (RGB) or 1 (grey).

    source: a path, or a file's content; allow_truncated: fill in what is missing at the end of a file;
    exif_orientation: turn the image as its EXIF data says; name: for error messages, in place of the path.
    Raises BadImage. Not for several threads at once where allow_truncated is set: Pillow's switch is for the process.
    """
    return decode_with_notes(
        source, size, channels, allow_truncated=allow_truncated, exif_orientation=exif_orientation, name=name
    ).pixels


def decode_with_notes(
    source: str | os.PathLike[str] | bytes,
    size: int,
    channels: int = 3,
    *,
    allow_truncated: bool = False,
    exif_orientation: bool = False,
    name: str | None = None,
) -> Decoded:
    """`decode`, with what had to be done to the image."""
    path = name or ("image" if isinstance(source, bytes) else os.fspath(source))
    data = source if isinstance(source, bytes) else _read(source, path)
    suffix = "" if isinstance(source, bytes) else Path(source).suffix
    if not data:
        raise BadImage(path, "the file is empty")
    try:
        return _decode(data, suffix, size, channels, exif_orientation)
    except MemoryError:  # says something about this machine, nothing about the image
        raise
    except Exception as error:  # damaged files raise nearly anything in Pillow's readers
        if not allow_truncated:
            raise BadImage(path, _reason(error, data)) from error
    try:
        with _filling_in():
            decoded = _decode(data, suffix, size, channels, exif_orientation)
    except MemoryError:
        raise
    except Exception as error:
        raise BadImage(path, _reason(error, data)) from error
    return Decoded(decoded.pixels, (*decoded.notes, TRUNCATED))


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The file name endings, in small letters, of the formats that `decode` reads: ".jpg", ".png" and so on."""
    from PIL import Image

    known = set(_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def fit(image: Picture, size: int, channels: int) -> np.ndarray:
    """The centre square of an "L" or "RGB" image at `size`: uint8 [size, size, channels]."""
    from PIL import Image

    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)  # whole pixels: at scale 1 nothing is interpolated
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    image = image.convert("L" if channels == 1 else "RGB")
    return np.array(image, np.uint8).reshape(size, size, channels)


@contextlib.contextmanager
def silenced_warnings() -> Iterator[None]:
    """Pillow's warnings (damaged EXIF data, by the hundred in ILSVRC) become notes of the images inside this.

    For the process: enter it once, outside the threads that decode.
    """

    def record(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        of_tags = Path(filename).stem == "TiffImagePlugin"  # which reads EXIF data too
        getattr(_seen, "messages", []).append(DAMAGED_TAGS if of_tags else " ".join(str(message).split()))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = record
        yield


def _read(source: str | os.PathLike[str], path: str) -> bytes:
    """A file's content; file servers fail now and then, so it is tried more than once."""
    for tries_left in reversed(range(RETRIES)):
        try:
            if not stat.S_ISREG(os.stat(source).st_mode):  # opening a pipe would wait for ever
                raise BadImage(path, "not a file")
            return Path(source).read_bytes()
        except OSError as error:
            if not tries_left:
                raise BadImage(path, f"cannot be read: {error.strerror or error}") from error
            time.sleep(RETRY_SECONDS)
    raise AssertionError("unreachable")


@functools.cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    rest = (name for name in Image.ID if name not in FIRST + LEFT_OUT)
    return (*FIRST, *rest)


@contextlib.contextmanager
def _filling_in() -> Iterator[None]:
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decode(data: bytes, suffix: str, size: int, channels: int, exif_orientation: bool) -> Decoded:
    from PIL import Image

    _seen.messages = []
    notes = []
    image: Picture = Image.open(io.BytesIO(data), formats=_formats())
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than the limit of {MAX_PIXELS:,}")
    by_name = Image.registered_extensions().get(suffix.lower())
    if by_name and image.format not in (by_name, "MPO"):  # MPO: a JPEG with a second picture behind it
        notes.append(f"{image.format} file named {suffix}")
    image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at the power of 1/2 that still leaves this much
    image.load()
    if exif_orientation:
        image = _turned(image, notes)
    image = _flat(_eight_bit(image, notes), notes)
    if min(width, height) < size:
        notes.append(f"enlarged (shorter side below {size})")
    return Decoded(fit(image, size, channels), tuple(dict.fromkeys(notes + _seen.messages)))


def _turned(image: Picture, notes: list[str]) -> Picture:
    from PIL import Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90,
    }  # fmt: skip
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # what is wrong with the EXIF data is no reason to lose the picture
        notes.append(DAMAGED_TAGS)
        return image
    if orientation not in turns:
        return image
    notes.append("turned as EXIF says")
    return image.transpose(turns[orientation])


def _eight_bit(image: Picture, notes: list[str]) -> Picture:
    """16-bit grey to 8 bits: `convert` would clip at 255."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("32-bit pixels, whose range is not known; save it with 8 or 16 bits")
    notes.append("16 bits scaled to 8")
    grey = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")  # a PNG may name one grey that is
    if isinstance(transparent, int) and (values == transparent).any():
        notes.append("transparency put on white")
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _flat(image: Picture, notes: list[str]) -> Picture:
    """Any mode of 8 bits to "L" or "RGB", transparency on white."""
    from PIL import Image

    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            notes.append("transparency put on white")
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image)
            image = white
    elif image.mode in ("CMYK", "YCbCr"):
        notes.append(f"{image.mode} converted to RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _reason(error: Exception, data: bytes) -> str:
    from PIL import Image

    if isinstance(error, Image.UnidentifiedImageError):
        start = data[:200].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html")):
            return "a web page, not an image; download it again"
        return "not an image of a format that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__
