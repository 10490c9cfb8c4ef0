"""From a source to a store: images that are bad, and sources of other kinds."""

import json

import numpy as np
import pytest
from pictures import SHARD, SIZE, blocks, content, encoded, made, mnist, tree, write

from alexnet_cuda import data
from alexnet_cuda.data import sources
from alexnet_cuda.data.decode import BadImage, decode
from alexnet_cuda.data.prepare import Events, prepare

BAD = {"train/cat/03.png": b"", "train/dog/07.png": b"<html>", "val/cat/00.png": b"text"}


@pytest.fixture
def broken(tmp_path):
    """Images of which three cannot be read."""
    root = tree(tmp_path / "images", train=25, val=5)
    for name, contents in BAD.items():
        write(root / name, contents)
    return root


def test_bad_images_are_skipped_counted_and_listed(broken, tmp_path):
    out = tmp_path / "store"
    told = []
    events = Events(progress=lambda *facts: told.append(facts))
    summary = prepare(broken, out, size=SIZE, shard_bytes=SHARD, max_bad=0.05, events=events)
    assert summary.skipped == 3 and told[-1] == ("preparing", 60, 60, 3)
    listed = dict(line.split("\t") for line in (out / "skipped.txt").read_text().splitlines())
    assert listed == {
        "train/cat/03.png": "the file is empty",
        "train/dog/07.png": "a web page, not an image; download it again",
        "val/cat/00.png": "not an image of a format that Pillow knows",
    }
    store = data.open(out)
    assert (len(store.train), len(store.val)) == (48, 9)
    for split in (store.train, store.val):
        names = [split.source(i) for i in range(len(split))]
        assert not set(names) & set(BAD)
        assert split.labels.tolist() == [int("/dog/" in name) for name in names]
        np.testing.assert_array_equal(split.take(np.arange(len(names))), [decode(broken / n, SIZE) for n in names])
    data.verify(store)
    np.testing.assert_allclose(store.mean_image, store.train.take(np.arange(48)).mean(axis=0), rtol=1e-6)


def test_too_many_bad_images_stop_it_and_mended_ones_are_taken_up(broken, tmp_path):
    out = tmp_path / "store"
    with pytest.raises(data.StoreError) as caught:
        made(broken, out)
    assert str(caught.value) == (
        "1 of 60 images cannot be read, more than --max-bad 0.001 allows; the first: train/cat/03.png: the file is"
        f" empty; mend or remove those in {out}/skipped.txt and run the same command again, or allow more with"
        " --max-bad 0.017"
    )
    with pytest.raises(data.StoreError, match="3 of 60 images cannot be read, more than --max-bad 0.04 allows"):
        made(broken, out, max_bad=0.04)
    assert (out / "skipped.txt").read_text().count("\n") == 3
    untouched = (out / "train-00002.npy").stat().st_ino
    for name in BAD:
        write(broken / name, encoded(blocks(1)))
    made(broken, out)
    made(broken, tmp_path / "fresh")
    assert content(out) == content(tmp_path / "fresh")
    assert (out / "skipped.txt").read_bytes() == b""
    assert (out / "train-00002.npy").stat().st_ino == untouched


def test_images_that_were_unreadable_for_a_while_are_tried_again(root, whole, tmp_path, monkeypatch):
    real = sources.base.FileImages.decode

    def failing(self, index, settings):
        if self.paths[index] == "train/cat/21.png":
            raise BadImage(self.paths[index], "cannot be read: Stale file handle")
        return real(self, index, settings)

    out = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(sources.base.FileImages, "decode", failing)
        made(root, out, max_bad=0.1)
        made(root, out, max_bad=0.1)
    assert len(data.open(out).train) == 49
    made(root, out)
    assert content(out) == content(whole)


def test_truncated_images(tmp_path):
    root = tree(tmp_path / "images", train=25, val=1)
    contents = encoded(blocks(1, 200, 200), "JPEG", quality=95)
    for i in (4, 5, 22):
        write(root / "train" / "cat" / f"{i:02}.png", contents[: len(contents) * 7 // 10])
    for out, options in (("strict", {"max_bad": 0.1}), ("lenient", {"allow_truncated": True})):
        made(root, tmp_path / out, **options)
        assert len(data.open(tmp_path / out).train) == (47 if out == "strict" else 50)
    notes = json.loads((tmp_path / "lenient" / "manifest.json").read_text())["notes"]
    assert notes["truncated, the rest filled in"] == 3
    made(root, tmp_path / "one", allow_truncated=True, workers=1)
    assert content(tmp_path / "one") == content(tmp_path / "lenient")
    wanted = {name: content(tmp_path / name) for name in ("strict", "lenient")}
    made(root, tmp_path / "strict", allow_truncated=True)  # each becomes the other
    made(root, tmp_path / "lenient", max_bad=0.1)
    assert content(tmp_path / "strict") == wanted["lenient"]
    assert content(tmp_path / "lenient") == wanted["strict"]


def test_a_class_without_a_readable_image_is_refused(tmp_path):
    root = tree(tmp_path / "images", train=2, val=1)
    for i in range(2):
        write(root / "train" / "dog" / f"{i:02}.png", b"")
    with pytest.raises(ValueError, match="class 'dog': none of its training images can be read"):
        made(root, tmp_path / "store", max_bad=1)


def test_what_was_done_to_images_is_counted(root, tmp_path):
    summary = prepare(root, tmp_path / "store", size=32, shard_bytes=1 << 20)
    assert summary.notes["CMYK converted to RGB"] == (1, "val/dog/04.png")
    assert summary.notes["JPEG file named .png"] == (1, "val/dog/04.png")
    assert summary.notes["enlarged (shorter side below 32)"][1] == "train/cat/00.png"


def test_a_shorter_source_leaves_no_shards_behind(tmp_path):
    root = tree(tmp_path / "images", train=25, val=5)
    out = tmp_path / "store"
    made(root, out)
    (out / "manifest.json").unlink()  # as if it had been stopped
    for path in [*(root / "train" / "dog").glob("[12]*"), *(root / "val").rglob("*.png")]:
        path.unlink()
    for folder in (*(root / "val").iterdir(), root / "val"):
        folder.rmdir()
    made(root, out)
    made(root, tmp_path / "fresh")
    assert content(out) == content(tmp_path / "fresh")
    assert data.open(out).val is None and len(data.open(out).train.shards) == 2


def test_idx_files_become_a_grey_store(tmp_path):
    train, labels, *_ = mnist(tmp_path / "mnist", train=30, val=4)
    prepare(tmp_path / "mnist", tmp_path / "store", size=28, channels=1)
    store = data.open(tmp_path / "store")
    np.testing.assert_array_equal(store.train.take(np.arange(30))[..., 0], train)
    np.testing.assert_array_equal(store.train.labels, labels)
    assert store.description.endswith("2 classes, 28x28, grey")
    assert store.mean_image.shape == (28, 28, 1) and store.color_eigenvectors.tolist() == [[1.0]]
    np.testing.assert_allclose(store.color_stdevs, train.std(), rtol=1e-6)
    assert store.val.source(3) == "t10k-images-idx3-ubyte#3"


def test_val_fraction(tmp_path):
    root = tree(tmp_path / "images", train=10, val=0)
    assert not any("validation" in line for line in made(root, tmp_path / "store", val_fraction=0.2))
    store = data.open(tmp_path / "store")
    assert (len(store.train), len(store.val)) == (16, 4)
    assert store.val.source(0) == "train/cat/00.png"


@pytest.mark.parametrize("kind", ["folders", "idx", "cifar"])
def test_no_validation_images_are_told(tmp_path, kind):
    root = tmp_path / "images"
    if kind == "folders":
        tree(root, train=10, val=0)
    elif kind == "idx":
        mnist(root, train=10)
        for path in root.glob("t10k-*"):
            path.unlink()
    else:
        write(root / "data_batch_1.bin", b"".join(bytes([i % 2]) + bytes(3072) for i in range(10)))
    (note,) = (line for line in made(root, tmp_path / "store") if line.startswith("note: "))
    assert note.startswith("note: no validation images") and "--val-fraction" in note
    assert not any(line.startswith("note: ") for line in made(root, tmp_path / "split", val_fraction=0.2))
    assert data.open(tmp_path / "split").val is not None


def test_a_store_within_its_own_source_can_be_gone_on_with(tmp_path):
    root = tree(tmp_path, train=10, val=0) / "train"
    made(root, root / "store", val_fraction=0.2)
    made(root, root / "store", val_fraction=0.2)
    assert len(data.open(root / "store").train) == 16
    with pytest.raises(sources.SourceError, match="is a prepared store already; use it with train --data"):
        made(root / "store", tmp_path / "again")


def test_small_images_of_arrays_are_told_of_as_those_of_folders(tmp_path):
    mnist(tmp_path / "mnist")
    assert prepare(tmp_path / "mnist", tmp_path / "own", size=28, channels=1).notes == {}
    notes = prepare(tmp_path / "mnist", tmp_path / "large", size=29).notes
    assert notes == {"enlarged (shorter side below 29)": (10, "train-images-idx3-ubyte#0")}
    write(tmp_path / "cifar" / "data_batch_1.bin", b"".join(bytes([i % 2]) + bytes(3072) for i in range(4)))
    assert prepare(tmp_path / "cifar", tmp_path / "same", size=32).notes == {}
    notes = prepare(tmp_path / "cifar", tmp_path / "larger", size=36).notes
    assert notes == {"enlarged (shorter side below 36)": (4, "data_batch_1.bin#0")}


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 5000}, {"size": 1.5}, {"channels": 2}, {"workers": 0}, {"max_bad": -1}, {"max_bad": 2},
     {"max_bad": float("nan")}],
)  # fmt: skip
def test_options_that_make_no_sense(root, tmp_path, options):
    with pytest.raises(ValueError, match=f"prepare: {next(iter(options))}: got .*, wanted"):
        made(root, tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()
