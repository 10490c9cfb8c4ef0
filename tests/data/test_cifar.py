"""CIFAR-10 and CIFAR-100: the binary version is read, the pickled one is refused."""

import re

import numpy as np
import pytest
from pictures import write

from alexnet_cuda.data import sources
from alexnet_cuda.data.sources import Settings, SourceError


def records(count, labels, seed=0):
    """(a batch's content, its images [n, 32, 32, 3]); labels: columns of label bytes."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
    return np.concatenate([np.array(labels, np.uint8).T.reshape(count, -1), planes], axis=1).tobytes(), images


def refused(root, message):
    with pytest.raises(SourceError, match=re.escape(message)) as caught:
        sources.read(root)
    assert "\n" not in str(caught.value)


def cifar10(folder):
    made = []
    for i in range(1, 6):
        data, images = records(2, [[0, 1]], seed=i)
        write(folder / f"data_batch_{i}.bin", data)
        made.append(images)
    data, images = records(3, [[1, 1, 0]], seed=9)
    write(folder / "test_batch.bin", data)
    write(folder / "batches.meta.txt", b"airplane\nautomobile\n\n")
    return np.concatenate(made), images


def test_cifar_10(tmp_path):
    train, val = cifar10(tmp_path / "cifar-10-batches-bin")
    for root in (tmp_path, tmp_path / "cifar-10-batches-bin"):
        source = sources.read(root)
        assert source.kind == "CIFAR-10 batches" and source.class_names == ("airplane", "automobile")
        assert source.train.labels.tolist() == [0, 1] * 5 and source.val.labels.tolist() == [1, 1, 0]
        for images, wanted in ((source.train, train), (source.val, val)):
            got = [images.decode(i, Settings(32)).pixels for i in range(len(wanted))]
            np.testing.assert_array_equal(got, wanted)
        assert source.train.name(0) == "data_batch_1.bin#0"
        assert source.train.name(5) == "data_batch_3.bin#1"
        assert source.train.name(9) == "data_batch_5.bin#1"


def test_cifar_100_has_the_fine_labels(tmp_path):
    data, images = records(3, [[7, 8, 9], [2, 0, 1]])
    write(tmp_path / "train.bin", data)
    write(tmp_path / "test.bin", data)
    write(tmp_path / "fine_label_names.txt", b"apple\nbear\ncan\n")
    source = sources.read(tmp_path)
    assert source.kind == "CIFAR-100 batches" and source.class_names == ("apple", "bear", "can")
    assert source.train.labels.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(source.val.decode(1, Settings(32)).pixels, images[1])


def test_without_names_classes_have_numbers(tmp_path):
    cifar10(tmp_path)
    (tmp_path / "batches.meta.txt").unlink()
    assert sources.read(tmp_path).class_names == ("0", "1")


@pytest.mark.parametrize(
    "files",
    [
        ["cifar-10-batches-py/data_batch_1"],
        ["data_batch_1", "batches.meta"],
        ["cifar-100-python/train"],
        ["train", "test", "meta"],
    ],
)
def test_the_pickled_version_is_refused_with_the_download_to_take(tmp_path, files):
    for name in files:
        write(tmp_path / name, b"\x80\x02}q\x01")
    message = (
        "CIFAR's Python version, pickled files, which can run any program and are not read here; download the binary"
    )
    refused(tmp_path, message)
    refused((tmp_path / files[0]).parent, message)
    refused(tmp_path / files[0], message)


def test_damaged_batches(tmp_path):
    cifar10(tmp_path)
    batch = tmp_path / "data_batch_2.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    refused(tmp_path, f"{batch}: 6,145 bytes, which is no multiple of 3073; download it again")
    batch.write_bytes(b"")
    refused(tmp_path, "0 bytes")
    batch.write_bytes(b"\x05" + whole[1:])
    refused(tmp_path, "label 5, but batches.meta.txt names 2 classes")
    batch.write_bytes(whole)
    write(tmp_path / "batches.meta.txt", b"airplane\nautomobile\nbird\n")
    refused(tmp_path, "no training images of class 'bird'; are files missing?")


def test_both_sets_in_one_folder(tmp_path):
    cifar10(tmp_path / "cifar-10-batches-bin")
    (tmp_path / "cifar-100-binary").mkdir()
    refused(tmp_path, "give one of the two")
