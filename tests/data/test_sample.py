"""The embedded images: that they are the right ones, laid out and resized as said."""

import gzip
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from alexnet_cuda.data.decode import fit
from alexnet_cuda.data.sample import CHECKSUMS, CLASS_NAMES, FOLDER, sample
from alexnet_cuda.data.statistics import PixelSums
from alexnet_cuda.data.store import StoreError

sample_module = sys.modules["alexnet_cuda.data.sample"]  # `alexnet_cuda.data.sample` is the function


@pytest.fixture(scope="module")
def store():
    return sample()


def pixels(name):
    with Image.open(FOLDER / f"{name}.png") as image:
        return np.array(image)


SHEETS = {name: pixels(name) for name in CHECKSUMS}


def original(name, id):
    """An image as it stands in its sheet, found by hand."""
    row, column = divmod(id, 100)
    return SHEETS[name][28 * row : 28 * row + 28, 28 * column : 28 * column + 28]


@pytest.mark.parametrize("name, images", [("train", 10_000), ("val", 2_000)])
def test_the_sheets_are_those_the_checksums_were_taken_of(name, images):
    sheet = pixels(name)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (images // 100 * 28, 2800)
    assert hashlib.sha256(sheet).hexdigest() == CHECKSUMS[name]


def test_they_are_small_and_come_with_their_licence():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 6_000_000
    licence = (FOLDER / "LICENSE").read_text()
    assert "MIT License" in licence
    assert "Zalando SE" in licence


def test_splits_labels_and_classes(store):
    assert (store.size, store.channels) == (36, 3)
    assert store.description == (
        "embedded Fashion-MNIST: 10,000 training and 2,000 validation images, 10 classes, 36x36"
    )
    assert store.class_names == CLASS_NAMES
    assert len(set(CLASS_NAMES)) == 10
    for split, per_class in ((store.train, 1000), (store.val, 200)):
        assert split.labels.dtype == np.int32
        assert np.bincount(split.labels).tolist() == [per_class] * 10
        assert len(split) == 10 * per_class
        assert split.labels[:10].tolist() == list(range(10))


def test_labels_belong_to_their_images(store):
    """Classes nearest to the mean image of one class: known to be right for about two images of three."""
    train = store.train.take(np.arange(10_000))[..., 0].reshape(10_000, -1).astype(np.float32)
    val = store.val.take(np.arange(2_000))[..., 0].reshape(2_000, -1).astype(np.float32)
    means = np.stack([train[store.train.labels == label].mean(axis=0) for label in range(10)])
    distances = (means**2).sum(axis=1) - 2 * val @ means.T
    assert 0.6 < (distances.argmin(axis=1) == store.val.labels).mean() < 0.75


@pytest.mark.parametrize("name, id", [("train", 0), ("train", 99), ("train", 100), ("train", 9_999), ("val", 1_234)])
def test_an_image_is_that_of_its_sheet_resized_as_prepare_does(store, name, id):
    taken = getattr(store, name).take(np.array([id]))
    assert taken.dtype == np.uint8
    np.testing.assert_array_equal(taken[0], fit(Image.fromarray(original(name, id)), 36, 3))
    assert getattr(store, name).source(id) == f"sample_images/{name}.png, row {id // 100}, column {id % 100}"


@pytest.mark.parametrize("size", (1, 14, 27, 28, 29, 64))
def test_any_size_is_resized_as_prepare_does(size):
    images = np.stack([original("val", id) for id in range(0, 2000, 97)])
    resized = sample_module._resized(images, size)
    for image, got in zip(images, resized, strict=True):
        np.testing.assert_array_equal(got, fit(Image.fromarray(image), size, 1)[..., 0])


def test_more_images_than_are_resized_at_once(monkeypatch):
    images = np.stack([original("val", id) for id in range(7)])
    whole = sample_module._resized(images, 20)
    monkeypatch.setattr(sample_module, "_CHUNK", 3)
    np.testing.assert_array_equal(sample_module._resized(images, 20), whole)


def test_images_come_in_the_order_asked_for(store):
    ids = np.array([5, 3, 9_999, 3])
    taken = store.train.take(ids)
    assert taken.shape == (4, 36, 36, 3)
    assert taken.flags.c_contiguous
    for image, id in zip(taken, ids, strict=True):
        np.testing.assert_array_equal(image, store.train.take(np.array([id]))[0])


@pytest.mark.parametrize("channels", (1, 3))
def test_statistics_are_those_of_the_training_images(channels):
    store = sample(36, channels)
    images = store.train.take(np.arange(10_000))
    assert images.shape == (10_000, 36, 36, channels)
    sums = PixelSums.zero(36, channels)
    sums.add(images)
    eigenvectors, stdevs = sums.principal_colors()
    np.testing.assert_array_equal(store.mean_image, sums.mean_image())
    np.testing.assert_array_equal(store.color_eigenvectors, eigenvectors)
    np.testing.assert_array_equal(store.color_stdevs, stdevs)
    # Grey: one direction, in which the channels go together.
    assert stdevs[0] == pytest.approx(np.sqrt(channels) * images[..., 0].std(dtype=np.float64), rel=1e-6)
    assert (abs(stdevs[1:]) < 1e-3).all()


def test_a_process_has_one_store_that_nobody_can_change(store):
    assert sample() is sample(36, 3) is store
    assert sample(36, 1) is not store
    for array in (store.mean_image, store.train.labels, store.color_stdevs, store.val.shards[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_fingerprints_tell_stores_apart(store):
    fingerprints = {store.fingerprint, sample(36, 1).fingerprint, sample(28).fingerprint}
    assert len(fingerprints) == 3
    assert all(len(fingerprint) == 64 for fingerprint in fingerprints)


def test_it_is_fast():
    sample_module._store.cache_clear()
    start = time.perf_counter()
    sample()
    assert time.perf_counter() - start < 1.5


@pytest.mark.parametrize("size, channels, error", [(0, 3, ValueError), (1.5, 3, TypeError), (36, 2, ValueError)])
def test_bad_arguments(size, channels, error):
    with pytest.raises(error, match="sample: argument"):
        sample(size, channels)


@pytest.mark.parametrize("damage", ("missing", "truncated", "another picture", "no picture"))
def test_sheets_that_are_missing_or_damaged(damage, tmp_path, monkeypatch):
    shutil.copy(FOLDER / "val.png", tmp_path)
    sheet = tmp_path / "val.png"
    if damage == "missing":
        sheet.unlink()
    elif damage == "truncated":
        sheet.write_bytes(sheet.read_bytes()[:100_000])
    elif damage == "another picture":
        Image.fromarray(255 - pixels("val")).save(sheet, compress_level=1)
    else:
        sheet.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    monkeypatch.setattr(sample_module, "FOLDER", tmp_path)
    with pytest.raises(StoreError, match="val.png: embedded images .*; install alexnet-cuda again") as caught:
        sample_module._sheet("val")
    assert "\n" not in str(caught.value)


def make_sheets():
    spec = importlib.util.spec_from_file_location("make_sheets", FOLDER / "make_sheets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(path, magic, array):
    header = np.array([magic, *array.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))


def test_the_script_lays_out_the_first_images_of_each_class(tmp_path, capsys):
    rng = np.random.default_rng(0)
    sets = {}
    for name, n in (("train", 11_000), ("t10k", 2_500)):
        labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 256, (n, 1, 1), np.uint8).repeat(28, 1).repeat(28, 2)
        images[:, 0, 1] = labels
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", 0x803, images)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", 0x801, labels)
        sets[name] = images, labels
    make_sheets().main(tmp_path, tmp_path)
    printed = capsys.readouterr().out
    for name, sheet, per_class in (("train", "train", 1000), ("t10k", "val", 200)):
        images, labels = sets[name]
        with Image.open(tmp_path / f"{sheet}.png") as image:
            got = np.array(image)
        assert hashlib.sha256(got).hexdigest() in printed
        assert got.shape == (per_class // 10 * 28, 2800)
        for id in (0, 1, 99, 100, 10 * per_class - 1):
            wanted = images[np.flatnonzero(labels == id % 10)[id // 10]]
            row, column = divmod(id, 100)
            np.testing.assert_array_equal(got[28 * row : 28 * row + 28, 28 * column : 28 * column + 28], wanted)


def test_the_script_makes_these_sheets(tmp_path):
    """Where Debian's package dataset-fashion-mnist is installed."""
    source = "/usr/share/datasets/fashion-mnist"
    module = make_sheets()
    try:
        module.main(module.Path(source), tmp_path)
    except FileNotFoundError:
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    for name, checksum in CHECKSUMS.items():
        with Image.open(tmp_path / f"{name}.png") as image:
            assert hashlib.sha256(np.array(image)).hexdigest() == checksum


def test_the_script_refuses_other_files(tmp_path):
    write_idx(tmp_path / "labels.gz", 0x801, np.zeros(3, np.uint8))
    with pytest.raises(SystemExit, match="labels.gz: got 0x801 as its first four bytes, wanted 0x803"):
        make_sheets().read_idx(tmp_path / "labels.gz", 0x803)


def test_pillow_is_not_imported_before_it_is_needed():
    code = (
        "import sys, alexnet_cuda, alexnet_cuda.data.sample, alexnet_cuda.data.loader; assert 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
