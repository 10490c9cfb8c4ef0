"""One image: every kind of file that is right, and every kind that is wrong."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from pictures import blocks, encoded, write
from PIL import Image

from alexnet_cuda.data import decode as module
from alexnet_cuda.data.decode import BadImage, decode, decode_with_notes, silenced_warnings

RGB = blocks(0)
GREY = blocks(1, channels=1)
JPEG_LOSS = 12  # levels of 256 that JPEG of quality 95 may be off on these images


def notes_of(data, size=40, **options):
    return decode_with_notes(data, size, **options).notes


def test_at_its_own_size_an_image_is_not_changed():
    got = decode(encoded(RGB), 40)
    np.testing.assert_array_equal(got, RGB)
    assert got.flags.c_contiguous and got.flags.writeable


@pytest.mark.parametrize("width", [51, 52])
def test_the_centre_of_the_longer_side_is_taken(width):
    wide = blocks(2, 40, width)
    left = (width - 40) // 2
    np.testing.assert_array_equal(decode(encoded(wide), 40), wide[:, left : left + 40])
    tall = wide.transpose(1, 0, 2)
    np.testing.assert_array_equal(decode(encoded(np.ascontiguousarray(tall)), 40), tall[left : left + 40])


def test_shrinking_averages_and_does_not_alias():
    """One-pixel stripes of black and white: a filter that skips pixels gives black or white, or a moire of both."""
    stripes = np.zeros((80, 80, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(decode(encoded(stripes), 20)[:, 2:-2].astype(int)) <= 2
    assert abs(decode(encoded(stripes), 20).mean() - 127.5) < 3


def test_a_large_jpeg_is_shrunk_as_well_as_its_png():
    big = blocks(3, 400, 400).repeat(4, axis=0).repeat(4, axis=1)
    difference = decode(encoded(big, "JPEG", quality=95), 50).astype(int) - decode(encoded(big), 50)
    assert np.abs(difference).max() <= JPEG_LOSS


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_formats_give_the_pixels(format):
    np.testing.assert_array_equal(decode(encoded(RGB, format), 40), RGB)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options):
    got = decode(encoded(RGB, "JPEG", **{"quality": 95, "subsampling": 0} | options), 40)
    assert np.abs(got.astype(int) - RGB).max() <= JPEG_LOSS


def test_grey_becomes_rgb_and_rgb_grey():
    got = decode(encoded(GREY), 40)
    np.testing.assert_array_equal(got, np.repeat(GREY[..., None], 3, axis=2))
    np.testing.assert_array_equal(decode(encoded(GREY), 40, 1), GREY[..., None])
    luma = RGB @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(decode(encoded(RGB), 40, 1)[..., 0] - luma).max() <= 1


def test_one_bit():
    bits = GREY > 127
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(bits)), 40, 1)[..., 0], bits * 255)


def test_palette():
    picture = Image.fromarray(RGB).quantize(64)
    np.testing.assert_array_equal(decode(encoded(picture), 40), np.asarray(picture.convert("RGB")))
    np.testing.assert_array_equal(decode(encoded(picture, "GIF"), 40), np.asarray(picture.convert("RGB")))


def test_cmyk_is_converted():
    data = encoded(RGB, "JPEG", mode="CMYK", quality=95, subsampling=0)
    got = decode_with_notes(data, 40)
    assert np.abs(got.pixels.astype(int) - RGB).max() <= JPEG_LOSS
    assert got.notes == ("CMYK converted to RGB",)


def test_transparency_is_put_on_white():
    alpha = np.zeros((40, 40, 1), np.uint8)
    alpha[:, 20:] = 255
    alpha[0, :] = 51
    rgba = np.concatenate([RGB, alpha], axis=2)
    got = decode_with_notes(encoded(rgba), 40)
    weight = alpha / 255
    assert np.abs(got.pixels - (RGB * weight + 255 * (1 - weight))).max() <= 1
    assert got.notes == ("transparency put on white",)
    la = np.concatenate([GREY[..., None], alpha], axis=2)
    got = decode(encoded(la), 40)
    assert np.abs(got - (GREY[..., None] * weight + 255 * (1 - weight))).max() <= 1
    rgba[..., 3] = 255
    assert notes_of(encoded(rgba)) == ()


@pytest.mark.parametrize("kind", ["one colour", "several"])
def test_transparent_palette_entries_are_white(kind):
    picture = Image.fromarray(RGB).quantize(8)
    indices = np.asarray(picture)
    transparency = 3 if kind == "one colour" else bytes([255, 255, 255, 0])
    got = decode(encoded(picture, transparency=transparency), 40)
    assert (got[indices == 3] == 255).all()
    np.testing.assert_array_equal(got[indices != 3], np.asarray(picture.convert("RGB"))[indices != 3])


@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["RGB", "grey"])
def test_a_transparent_colour_is_white(pixels):
    key = tuple(int(v) for v in pixels[5, 5]) if pixels.ndim == 3 else int(pixels[5, 5])
    hit = (pixels == key).all(axis=2) if pixels.ndim == 3 else pixels == key
    got = decode(encoded(pixels, transparency=key), 40)
    assert (got[hit] == 255).all()
    np.testing.assert_array_equal(got[~hit], decode(encoded(pixels), 40)[~hit])


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PGM"])
def test_sixteen_bits_are_shifted_not_clipped(format):
    values = np.linspace(0, 65535, 1600, dtype=np.uint16).reshape(40, 40)
    pgm = b"P5 40 40 65535\n" + values.astype(">u2").tobytes()
    got = decode_with_notes(pgm if format == "PGM" else encoded(values, format), 40, 1)
    np.testing.assert_array_equal(got.pixels[..., 0], values >> 8)
    assert got.notes == ("16 bits scaled to 8",)


def test_sixteen_bits_with_a_transparent_grey():
    values = np.full((40, 40), 40000, np.uint16)
    values[:20] = 300
    png = encoded(values)
    got = decode(png[:33] + chunk(b"tRNS", struct.pack(">H", 300)) + png[33:], 40, 1)[..., 0]
    assert (got[:20] == 255).all() and (got[20:] == 40000 >> 8).all()


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[-1]]), np.int32([[70000]])])
def test_pixels_of_no_known_range_are_refused(values):
    with pytest.raises(BadImage, match="whose range is not known; save it with 8 or 16 bits"):
        decode(encoded(np.tile(values, (40, 40)), "TIFF"), 40)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 1000), (3, 50)])
def test_tiny_images_are_enlarged_with_a_note(height, width):
    got = decode_with_notes(encoded(np.full((height, width, 3), 77, np.uint8)), 40)
    assert got.pixels.shape == (40, 40, 3) and (got.pixels == 77).all()
    assert got.notes == ("enlarged (shorter side below 40)",)


def test_what_a_file_holds_counts_and_not_its_name(tmp_path):
    path = write(tmp_path / "a.JPEG", encoded(RGB))
    got = decode_with_notes(path, 40)
    np.testing.assert_array_equal(got.pixels, RGB)
    assert got.notes == ("PNG file named .JPEG",)
    assert notes_of(write(tmp_path / "a.png", encoded(RGB))) == ()
    assert notes_of(write(tmp_path / "a", encoded(RGB))) == ()


ORIENTED = {
    1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.transpose(1, 0, 2), 6: np.rot90(RGB, 3),
    7: np.rot90(RGB, 2).transpose(1, 0, 2), 8: np.rot90(RGB),
}  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_orientation_where_it_is_asked_for(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, exif=exif)
    np.testing.assert_array_equal(decode(data, 40), RGB)
    np.testing.assert_array_equal(decode(data, 40, exif_orientation=True), ORIENTED[orientation])


def test_damaged_exif_becomes_a_note_and_prints_nothing(recwarn):
    data = encoded(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x0f\0\x02\0\0\0\x20\0\0\xff\xff" + bytes(9))
    with silenced_warnings():
        got = decode_with_notes(data, 40, exif_orientation=True)
        assert decode_with_notes(encoded(RGB), 40).notes == ()  # and of that image alone
    assert got.notes == (module.DAMAGED_TAGS,)
    assert not list(recwarn)
    with pytest.warns(UserWarning, match="no EXIF"):
        warnings.warn("no EXIF", stacklevel=1)  # afterwards, warnings are warnings again


def bad_files():
    jpeg = encoded(RGB, "JPEG")
    png = encoded(RGB)
    yield "empty", b"", "the file is empty"
    yield "zeros", bytes(100), "not an image of a format that Pillow knows"
    yield "text", b"hello", "not an image of a format that Pillow knows"
    yield "HTML", b"\n<!DOCTYPE html><html>404</html>", "a web page, not an image; download it again"
    yield "JPEG header", jpeg[:20], ".+"
    yield "60 % of a JPEG", jpeg[: len(jpeg) * 6 // 10], "[Tt]runcated"
    yield "JPEG without its last bytes", jpeg[:-200], "[Tt]runcated"
    yield "half a PNG", png[: len(png) // 2], ".+"
    yield "EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image of a format"


@pytest.mark.parametrize(("data", "reason"), [pytest.param(*rest, id=name) for name, *rest in bad_files()])
def test_bad_files_are_refused_with_path_and_reason(tmp_path, data, reason):
    path = write(tmp_path / "x.JPEG", data)
    with pytest.raises(BadImage, match=reason) as caught:
        decode(path, 40)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in str(caught.value) and "BytesIO" not in str(caught.value)


def test_truncated_files_are_filled_in_where_that_is_allowed():
    data = encoded(blocks(0, 200, 200), "JPEG", quality=95)
    got = decode_with_notes(data[: len(data) * 6 // 10], 200, allow_truncated=True)
    assert got.notes == (module.TRUNCATED,)
    whole = decode(data, 200)
    np.testing.assert_array_equal(got.pixels[:80], whole[:80])
    assert (got.pixels[-20:] == got.pixels[-1, -1]).all()
    with pytest.raises(BadImage):  # the switch is off again
        decode(data[: len(data) * 6 // 10], 200)
    with pytest.raises(BadImage, match="not an image"):
        decode(b"hello", 40, allow_truncated=True)


def claiming(side):
    """A PNG of one pixel whose head says that it is `side` pixels high and wide."""
    data = encoded(np.zeros((1, 1), np.uint8))
    return data[:8] + chunk(b"IHDR", struct.pack(">II", side, side) + data[24:29]) + data[33:]


def test_decompression_bombs_are_refused_by_size_and_limit():
    with silenced_warnings(), pytest.raises(BadImage, match=r"12000 x 12000 pixels, more than the limit of 89,478,485"):
        decode(claiming(12000), 40)
    with pytest.raises(BadImage, match=r"900000000 pixels\) exceeds limit"):
        decode(claiming(30000), 40)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (("none.png", "No such file"), ("link.png", "No such file"), ("pipe.png", "not a file")):
        with pytest.raises(BadImage, match=reason):
            decode(tmp_path / name, 40)


def test_reading_is_tried_three_times(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    path = write(tmp_path / "a.png", encoded(RGB))
    calls = []

    def stale(number):
        def stat(file):
            calls.append(file)
            if len(calls) < number:
                raise OSError(116, "Stale file handle")
            return os.lstat(file)

        return stat

    monkeypatch.setattr(module.os, "stat", stale(3))
    assert decode(path, 40).shape == (40, 40, 3)
    calls.clear()
    monkeypatch.setattr(module.os, "stat", stale(4))
    with pytest.raises(BadImage, match="cannot be read: Stale file handle"):
        decode(path, 40)
    assert len(calls) == 3
