"""IDX files: MNIST and its relatives."""

import gzip
import re

import numpy as np
import pytest
from pictures import idx, mnist, write

from alexnet_cuda.data import sources
from alexnet_cuda.data.sources import Settings, SourceError


def refused(root, message, **options):
    with pytest.raises(SourceError, match=re.escape(message)) as caught:
        sources.read(root, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_four_files(tmp_path, compressed):
    train, train_labels, val, val_labels = mnist(tmp_path, labels=(3, 0, 7), compressed=compressed)
    source = sources.read(tmp_path)
    assert source.kind == "IDX files" and source.class_names == ("0", "3", "7")
    assert source.train.labels.tolist() == [1, 0, 2, 1, 0, 2] and source.train.labels.dtype == np.int32
    assert np.array(source.class_names)[source.val.labels].tolist() == [str(label) for label in val_labels]
    for images, wanted in ((source.train, train), (source.val, val)):
        got = [images.decode(i, Settings(28, 1)).pixels[..., 0] for i in range(len(wanted))]
        np.testing.assert_array_equal(got, wanted)
    assert source.val.name(3) == "t10k-images-idx3-ubyte#3"
    rgb = source.train.decode(0, Settings(28, 3)).pixels
    np.testing.assert_array_equal(rgb, np.repeat(train[0][..., None], 3, axis=2))


def test_other_names_plain_before_gzip_and_no_val(tmp_path):
    mnist(tmp_path, names=("train", "test"))
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    (tmp_path / "train-images.idx3-ubyte.gz").write_bytes(b"not looked at")
    assert len(sources.read(tmp_path).train.labels) == 6
    for path in tmp_path.glob("test-*"):
        path.unlink()
    assert sources.read(tmp_path).val is None


def test_several_sets_in_one_folder(tmp_path):
    mnist(tmp_path, prefix="emnist-letters-", compressed=True, names=("train", "test"))
    mnist(tmp_path, prefix="emnist-digits-", compressed=True, labels=(0, 1, 2), names=("train", "test"))
    refused(tmp_path, "holds several sets ('emnist-digits-', 'emnist-letters-'); give the image file of one")
    source = sources.read(tmp_path / "emnist-digits-train-images-idx3-ubyte.gz")
    assert source.class_names == ("0", "1", "2")
    assert source.val.name(0) == "emnist-digits-test-images-idx3-ubyte#0"


def test_damaged_files(tmp_path):
    mnist(tmp_path, compressed=True)
    images, labels = (tmp_path / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    whole = images.read_bytes()
    for damaged in (whole[:-9], whole[: len(whole) // 2], b"<html>", whole[:200] + b"?" + whole[201:]):
        images.write_bytes(damaged)
        refused(tmp_path, f"{images}: damaged or incomplete (gzip cannot unpack it); download it again")
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    refused(tmp_path, f"{images}: 4,703 bytes of data instead of the 4,704 its head tells; download it again")
    images.write_bytes(gzip.compress(b"\0\0\x0d" + gzip.decompress(whole)[3:]))
    refused(tmp_path, "not an IDX file of unsigned bytes in 3 dimensions")
    images.write_bytes(gzip.compress(b""))
    refused(tmp_path, "not an IDX file of unsigned bytes")
    images.write_bytes(gzip.compress(idx(np.zeros((5, 28, 28)))))
    refused(tmp_path, "5 images, but 6 labels in train-labels-idx1-ubyte.gz")
    labels.unlink()
    refused(tmp_path, "no train-labels-idx1-ubyte (or .gz) beside it, which would hold the labels")
    images.unlink()
    refused(tmp_path, "no train-images-idx3-ubyte (or .gz) beside 't10k-images-idx3-ubyte.gz'")


def test_classes_that_differ(tmp_path):
    mnist(tmp_path, labels=(0, 1))
    write(tmp_path / "t10k-labels-idx1-ubyte", idx([0, 1, 2, 2]))
    refused(tmp_path, "train and val have different classes (only in val: '2')")


def test_no_images(tmp_path):
    mnist(tmp_path, train=0)
    refused(tmp_path, "no images in it")


def test_labels_from_a_file_are_for_folders(tmp_path):
    mnist(tmp_path)
    refused(tmp_path, "--val-labels is for image folders; these are IDX files", val_labels=tmp_path / "x")
