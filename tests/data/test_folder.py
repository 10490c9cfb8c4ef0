"""Image folders: what is found in them, in which order, and what is refused."""

import os
import re

import numpy as np
import pytest
from pictures import blocks, encoded, tree, write

from alexnet_cuda.data import sources
from alexnet_cuda.data.sources import Settings, SourceError, hold_out

PNG = encoded(blocks(0))


def refused(root, message, **options):
    with pytest.raises(SourceError, match=re.escape(message)) as caught:
        sources.read(root, **options)
    assert "\n" not in str(caught.value)


def names(images):
    return [images.name(i) for i in range(len(images.labels))]


def test_classes_and_files_are_in_the_order_of_their_names(tmp_path):
    for path in ("train/b/2.png", "train/b/10.png", "train/a/z.png", "train/a/sub/y.png", "val/b/q.png", "val/a/p.png"):
        write(tmp_path / path, PNG)
    source = sources.read(tmp_path)
    assert source.class_names == ("a", "b")
    assert names(source.train) == ["train/a/sub/y.png", "train/a/z.png", "train/b/10.png", "train/b/2.png"]
    assert names(source.val) == ["val/a/p.png", "val/b/q.png"]
    assert source.train.labels.tolist() == [0, 0, 1, 1] and source.train.labels.dtype == np.int32
    assert source.val.labels.tolist() == [0, 1]
    assert source.remarks == ()
    np.testing.assert_array_equal(source.train.decode(1, Settings(40)).pixels, blocks(0))


def test_images_by_name_or_without_an_ending_the_rest_is_ignored_and_told(tmp_path):
    root = tree(tmp_path, train=1, val=1)
    for name in ("a.JPEG", "b.webp", "c", ".hidden.png", ".DS_Store", "boxes.txt", "d.eps", "line\nbreak.png"):
        write(root / "train" / "cat" / name, PNG)
    write(root / "train" / ".git" / "x.png", PNG)
    write(root / "train" / "__MACOSX" / "x.png", PNG)
    write(root / "train" / "loose.png", PNG)
    source = sources.read(root)
    assert source.class_names == ("cat", "dog")
    assert [n for n in names(source.train) if "cat" in n] == [
        f"train/cat/{n}" for n in ("00.png", "a.JPEG", "b.webp", "c")
    ]
    ignored, loose = source.remarks
    assert all(
        repr(name) in ignored for name in (".git", "__MACOSX", "cat/.DS_Store", "cat/.hidden.png", "cat/boxes.txt")
    )
    assert "and 2 more" in ignored
    assert "outside the class folders: 'loose.png'" in loose


def test_what_looks_like_a_mistake_is_told(tmp_path):
    root = tree(tmp_path, train=1, val=1, classes=("Cat", "cat"))
    write(root / "train" / "cat" / "00.jpg", PNG)
    alike, twice = (remark for remark in sources.read(root).remarks if "/train" in remark)
    assert "nearly the same: 'Cat', 'cat'" in alike
    assert "in the ending only, all of them used: 'train/cat/00'" in twice


def test_links(tmp_path):
    root = tree(tmp_path / "set", train=1, val=1)
    (root / "train" / "cat" / "broken.png").symlink_to("nowhere.png")  # counted as unreadable when it is decoded
    (root / "train" / "cat" / "circle").symlink_to(root / "train")
    (root / "train" / "dog").rename(tmp_path / "elsewhere")
    (root / "train" / "dog").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "train" / "cat" / "pipe.png")
    source = sources.read(root)
    assert names(source.train) == ["train/cat/00.png", "train/cat/broken.png", "train/dog/00.png"]
    assert "'cat/circle', 'cat/pipe.png'" in source.remarks[0]


def test_a_stamp_changes_with_names_labels_sizes_and_times(tmp_path):
    def stamp():
        return sources.read(root).train.stamp(np.arange(4))

    root = tree(tmp_path, train=2, val=1)
    file = root / "train" / "cat" / "01.png"
    os.utime(file, ns=(0, 10**18))
    stamps = [stamp()]
    assert stamp() == stamps[0]
    os.utime(file, ns=(0, 10**18 + 1))
    stamps.append(stamp())
    file.write_bytes(PNG + b"x")
    os.utime(file, ns=(0, 10**18))
    stamps.append(stamp())
    file.rename(file.with_name("02.png"))
    stamps.append(stamp())
    (root / "train" / "dog" / "00.png").rename(root / "train" / "cat" / "03.png")
    stamps.append(stamp())
    assert len(set(stamps)) == 5


def test_no_images_shows_the_tree_that_is_wanted(tmp_path):
    wanted = f"expected {tmp_path}/train/<class>/<image> and {tmp_path}/val/<class>/<image>"
    refused(tmp_path, f"{tmp_path}: no folder 'train' in it; {wanted}")
    write(tmp_path / "train" / "cat" / "notes.txt", b"x")
    refused(tmp_path, f"{tmp_path}: no images in its folder 'train'; {wanted}")
    refused(tmp_path / "nowhere", "nowhere: no such folder")
    refused(tmp_path / "train" / "cat" / "notes.txt", "notes.txt: neither a folder nor a file of IDX images")
    refused(write(tmp_path / "set.tar.gz", b"x"), "an archive; unpack it")


def test_class_folders_without_train_are_the_training_set(tmp_path):
    for path in ("b/2.png", "b/10.png", "a/z.png", "a/sub/y.png", "loose.png", "notes.txt"):
        write(tmp_path / path, PNG)
    write(tmp_path / "out" / "records" / "options.json", b'{"format": "alexnet_cuda store"}')
    write(tmp_path / "out" / "lock", b"")
    source = sources.read(tmp_path)
    assert source.class_names == ("a", "b") and source.val is None
    assert names(source.train) == ["a/sub/y.png", "a/z.png", "b/10.png", "b/2.png"]
    assert source.train.labels.tolist() == [0, 0, 1, 1]
    ignored, loose = source.remarks
    assert ignored == f"ignored in {tmp_path}, by their names: 'notes.txt'"
    assert loose == f"ignored in {tmp_path}, images outside the class folders: 'loose.png'"
    np.testing.assert_array_equal(source.train.decode(1, Settings(40)).pixels, blocks(0))


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (["0.png", "1.png"], "no folder 'train' in it"),
        (["val/a/0.png", "a/0.png", "b/0.png"], "no folder 'train' in it"),
        (["photos/a/0.png", "photos/b/0.png"], "no folder 'train' in it, and 'photos' alone is not enough for classes"),
        (["Training/a/0.png", "test/a/0.png"], "no folder 'train' in it, but 'Training', 'test'"),
        (["x/train/0.png", "y/0.png"], "no folder 'train' in it, and no images directly in 'x'"),
        (["a/0.png", "b/0.png", "docs/x.txt"], "no folder 'train' in it, and no images directly in 'docs'"),
    ],
)
def test_folders_that_are_no_classes(tmp_path, paths, problem):
    for path in paths:
        write(tmp_path / path, PNG)
    refused(tmp_path, f"{tmp_path}: {problem}; expected {tmp_path}/train/<class>/<image> and ")


def test_one_split_of_two_is_a_mistake(tmp_path):
    root = tree(tmp_path)
    for split in ("train", "val"):
        refused(root / split, f"{root / split}: no folder 'train' in it; expected the folder above, {root}, which has")


def test_a_prepared_store_is_no_source(tmp_path):
    write(tmp_path / "manifest.json", b'{"format": "alexnet_cuda store"}')
    refused(tmp_path, f"{tmp_path}: is a prepared store already; use it with train --data {tmp_path}")
    root = tree(tmp_path / "images", train=1, val=1)
    write(root / "manifest.json", b'{"icons": []}')  # of something else
    assert sources.read(root).class_names == ("cat", "dog")


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_classes_are_named(tmp_path, split):
    root = tree(tmp_path, train=1, val=1)
    (root / split / "emu").mkdir()
    refused(root, f"{root / split}: class folders without images: 'emu'; fill or remove them")


def test_classes_that_differ_are_listed(tmp_path):
    root = tree(tmp_path, train=1, val=1, classes=[f"c{i}" for i in range(9)])
    (root / "val" / "c8").rename(root / "val" / "x")
    refused(root, "train and val have different classes (only in train: 'c8'; only in val: 'x'); add, remove or rename")
    for i in range(7):
        (root / "train" / f"c{i}").rename(root / "train" / f"d{i}")
    refused(root, "only in train: 'c8', 'd0', 'd1', 'd2', 'd3' and 3 more; only in val: 'c0'")


def test_no_validation_images(tmp_path):
    root = tree(tmp_path, train=10, val=0)
    source = sources.read(root)
    assert source.val is None and source.remarks == ()
    split = hold_out(source, 0.2)
    assert names(split.val) == [f"val/{c}/0{i}.png".replace("val", "train") for c in ("cat", "dog") for i in (0, 5)]
    assert sorted(names(split.train) + names(split.val)) == names(source.train)
    assert split.train.labels.tolist() == [0] * 8 + [1] * 8 and split.val.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(split.val.decode(3, Settings(9)).pixels, source.train.decode(15, Settings(9)).pixels)
    assert split.val.stamp(np.array([3])) == source.train.stamp(np.array([15]))
    with pytest.raises(SourceError, match="already"):
        hold_out(split, 0.2)
    for wrong in (0, 1, -1, float("nan")):
        with pytest.raises(SourceError, match="between 0 and 1"):
            hold_out(source, wrong)
    with pytest.raises(SourceError, match="'cat' has a single image"):
        hold_out(sources.read(tree(tmp_path / "one", train=1, val=0)), 0.5)


@pytest.fixture
def flat(tmp_path):
    root = tree(tmp_path, train=1, val=0)
    for i in range(4):
        write(root / "val" / f"v{i}.JPEG", encoded(blocks(i)))
    return root


def test_a_flat_val_folder_is_refused_with_the_fix(flat):
    refused(flat, "val: 4 images that are not sorted into class folders; sort them, or pass --val-labels FILE")
    images = flat / "val" / "images"
    images.mkdir()
    for i in range(4):
        (flat / "val" / f"v{i}.JPEG").rename(images / f"v{i}.JPEG")
    refused(flat, "val: 4 images that are not sorted into class folders")


@pytest.mark.parametrize(
    "text",
    [
        "v0.JPEG cat\nv1.JPEG dog\n\nv2.JPEG dog\nv3.JPEG cat\nv9.JPEG dog\n",
        "v3.JPEG 0\nv0.JPEG 0\nv1.JPEG 1\nv2.JPEG 1\n",
        "v0.JPEG\tcat\t0\t9\t9\nv1.JPEG\tdog\t1\t1\t1\nv2.JPEG\tdog\t1\t1\t1\nv3.JPEG\tcat\t1\t1\t1\n",
        "ImageId,PredictionString\nv1,dog 1 2 3 4 dog 5 6 7 8\nv0,cat 1 2 3 4\nv2,dog 1 2 3 4\nv3,cat 1 2 3 4\n",
        "cat\ndog\ndog\ncat\n",
    ],
    ids=["names", "numbers, as Caffe", "tabs, as Tiny ImageNet", "commas, as Kaggle", "in order"],
)
def test_labels_from_a_file(flat, text):
    source = sources.read(flat, val_labels=write(flat / "labels.txt", text.encode()))
    assert names(source.val) == [f"val/v{i}.JPEG" for i in range(4)]
    assert source.val.labels.tolist() == [0, 1, 1, 0]
    assert source.remarks == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v0 cat\nv1 dog\n", "no class for 2 of 4 images: 'v2.JPEG', 'v3.JPEG'"),
        ("v0 emu\n", "v0: 'emu' is no class of train; there are 'cat', 'dog'"),
        ("v0 2\n", "v0: '2' is no class of train"),
        ("1\n2\n2\n1\n", "only numbers, whose meaning is not known"),
        ("cat\ndog\n", "2 lines for 4 images"),
        ("v0 cat\nv1\n", "line 2: got 'v1', wanted 'image class'"),
        ("v0 cat\nv1 cat\nv2 cat\nv3 cat\n", "only in train: 'dog'"),
        ("", "no class for 4 of 4 images"),
    ],
)
def test_labels_that_do_not_fit(flat, text, message):
    refused(flat, message, val_labels=write(flat / "labels.txt", text.encode()))


def test_labels_where_they_make_no_sense(flat, tmp_path):
    refused(flat, "cannot be read: No such file", val_labels=flat / "none.txt")
    refused(flat, "not a text file", val_labels=write(flat / "labels.txt", b"\xff\xfe\xff"))
    labels = write(flat / "labels.txt", b"v0 cat\n")
    refused(tree(tmp_path / "a"), "has class folders already; leave out --val-labels", val_labels=labels)
    refused(tree(tmp_path / "b", val=0), "there is no folder", val_labels=labels)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    root = tree(tmp_path, train=1, val=1)
    (root / "train" / "cat").chmod(0)
    try:
        refused(root, "train/cat: cannot be read: Permission denied")
    finally:
        (root / "train" / "cat").chmod(0o755)
