"""From a source to a store: the same bytes however it came about, and every fault on the way."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import SHARD, SIZE, content, made, tree, write

import alexnet_cuda
from alexnet_cuda import data
from alexnet_cuda.data import files, sources
from alexnet_cuda.data.decode import decode


def test_a_store_holds_the_images_in_order(root, whole):
    store = data.open(whole)
    data.verify(store)
    assert (store.size, store.channels, store.class_names) == (SIZE, 3, ("cat", "dog"))
    assert store.description == "store: 50 training and 10 validation images, 2 classes, 16x16"
    for split in (store.train, store.val):
        paths = sorted(str(path.relative_to(root)) for path in (root / split.name).rglob("*.png"))
        assert [split.source(i) for i in range(len(split))] == paths
        assert split.labels.tolist() == [int("/dog/" in path) for path in paths]
        pixels = split.take(np.arange(len(split)))
        np.testing.assert_array_equal(pixels, [decode(root / path, SIZE) for path in paths])
    assert [len(shard) for shard in store.train.shards] == [20, 20, 10]
    assert not (whole / "lock").exists()


def test_statistics_are_those_of_the_training_images(whole):
    store = data.open(whole)
    pixels = store.train.take(np.arange(50)).astype(np.float64)
    np.testing.assert_allclose(store.mean_image, pixels.mean(axis=0), rtol=1e-7)
    colors = pixels.reshape(-1, 3)
    covariance = np.cov(colors.T, bias=True)
    vectors, stdevs = store.color_eigenvectors.astype(np.float64), store.color_stdevs.astype(np.float64)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(vectors.T * stdevs**2 @ vectors, covariance, rtol=1e-5)
    assert (np.diff(stdevs) <= 0).all()
    assert (np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1, keepdims=True), axis=1) > 0).all()
    for array in (store.mean_image, store.color_eigenvectors, store.color_stdevs):
        assert array.dtype == np.float32


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_change_nothing(root, whole, tmp_path, workers):
    made(root, tmp_path / "store", workers=workers)
    assert content(tmp_path / "store") == content(whole)


def test_the_size_of_shards_changes_no_image_and_no_statistic(root, whole, tmp_path):
    made(root, tmp_path / "store", shard_bytes=SHARD // 3)
    one, other = data.open(whole), data.open(tmp_path / "store")
    assert len(other.train.shards) == 9
    for ids in (np.arange(50), np.array([49, 0, 21, 21, 20, 19])):
        np.testing.assert_array_equal(one.train.take(ids), other.train.take(ids))
    for name in ("mean_image", "color_eigenvectors", "color_stdevs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


KILLED = """
import os, signal, sys
from alexnet_cuda.data.prepare import Events, prepare
root, out, at, size, shard = sys.argv[1:]
def progress(stage, done, total, skipped):
    if done >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)
prepare(root, out, size=int(size), shard_bytes=int(shard), workers=2, events=Events(progress=progress))
"""


@pytest.mark.parametrize("images", [16, 30])
def test_after_sigkill_it_goes_on_to_the_same_bytes(root, whole, tmp_path, images):
    out = tmp_path / "store"
    arguments = [str(root), str(out), str(images), str(SIZE), str(SHARD)]
    path = Path(alexnet_cuda.__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=path, timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert list(out.glob("*.tmp"))
    with pytest.raises(data.StoreError, match="its preparation has not ended; run the same prepare command again"):
        data.open(out)
    said = made(root, out)
    assert ("20 of 60 images are prepared already; going on" in said) == (images > 20)
    assert content(out) == content(whole)


def test_stopped_before_any_file_is_done_it_goes_on_to_the_same_bytes(root, whole, tmp_path, monkeypatch):
    """Every file appears by a rename; stop at the first, the second and so on."""
    replace, wanted = os.replace, content(whole)
    for moment in range(100):
        out = tmp_path / str(moment)
        calls = []

        def stopping(source, target, moment=moment, calls=calls):
            calls.append(target)
            if len(calls) > moment:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(files.os, "replace", stopping)
        try:
            made(root, out)
        except KeyboardInterrupt:
            with pytest.raises(data.StoreError, match="not ended|not a prepared store"):
                data.open(out)
        monkeypatch.setattr(files.os, "replace", replace)
        stopped = len(calls) > moment
        assert not stopped or not list(out.rglob("*.tmp"))
        made(root, out)
        assert content(out) == wanted
        if not stopped:
            break
    assert moment > 15  # 4 shards with their records and 7 other files


def test_a_store_that_is_there_is_left_alone(root, whole, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*-0*.npy")}
    made(root, whole)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("*-0*.npy")} == before
    for wrong, message in (
        ({"size": 17}, "made with size 16, not 17; give another folder, or remove it"),
        ({"channels": 1}, "made with channels 3, not 1"),
        ({"exif_orientation": True}, "made with exif_orientation False, not True"),
        ({"shard_bytes": SHARD // 2}, "made with images_a_shard 20, not 10"),
    ):
        with pytest.raises(data.StoreError, match=message):
            made(root, whole, **wrong)
    for other in (tree(tmp_path / "a", train=25, val=5), tree(tmp_path / "b", train=2, val=2)):
        with pytest.raises(data.StoreError, match="holds a whole store, of images that are not .* those in the source"):
            made(other, whole)
    data.verify(whole)


def copied(whole, tmp_path):
    for name, bytes_ in content(whole).items():
        write(tmp_path / "store" / name, bytes_)
    return tmp_path / "store"


def flip(path):
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("damage", "at_open", "at_verify", "rebuilt"),
    [
        (lambda s: flip(s / "train-00001.npy"), None, "checksum wrong: train-00001.npy;", "train-00001.npy"),
        (lambda s: os.truncate(s / "train-00002.npy", 999), "train-00002.npy has 999 bytes instead of 7,808", None,
         "train-00002.npy"),
        (lambda s: (s / "val-00000.npy").unlink(), "val-00000.npy is missing", None, "val-00000.npy"),
        (lambda s: flip(s / "records" / "train-00000.sum.npy"), None, None, "train-00000.npy"),
        (lambda s: (s / "records" / "train-00000.json").write_text("{"), None, None, "train-00000.npy"),
        (lambda s: flip(s / "train-labels.npy"), "checksum wrong: train-labels.npy", None, None),
        (lambda s: flip(s / "mean.npy"), "checksum wrong: mean.npy", None, None),
        (lambda s: flip(s / "val-sources.txt"), None, "checksum wrong: val-sources.txt;", None),
        (lambda s: (s / "manifest.json").write_text("{"), "manifest.json is damaged", None, None),
        (lambda s: (s / "manifest.json").write_text('{"format": "alexnet_cuda store", "version": 1}'),
         "manifest.json is damaged", None, None),
    ],
)  # fmt: skip
def test_damage_is_named_and_only_what_is_damaged_is_rebuilt(
    root, whole, tmp_path, damage, at_open, at_verify, rebuilt
):
    out = copied(whole, tmp_path)
    damage(out)
    if at_open:
        with pytest.raises(data.StoreError, match=f"{at_open}.*; run the same prepare command again"):
            data.open(out)
    else:
        data.open(out)
    if at_verify:
        with pytest.raises(data.StoreError, match=at_verify):
            data.verify(out)
    inodes = {path.name: path.stat().st_ino for path in out.glob("*-0*.npy")}
    made(root, out)
    changed = {path.name for path in out.glob("*-0*.npy") if inodes.get(path.name) != path.stat().st_ino}
    assert changed == ({rebuilt} if rebuilt else set())
    assert content(out) == content(whole)
    data.verify(out)


def test_a_store_that_is_being_rebuilt_is_no_store(root, whole, tmp_path, monkeypatch):
    out = copied(whole, tmp_path)
    flip(out / "train-00001.npy")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sources.base.FileImages, "decode", stop)
        with pytest.raises(KeyboardInterrupt):
            made(root, out)
    with pytest.raises(data.StoreError, match="its preparation has not ended"):
        data.open(out)
    made(root, out)
    assert content(out) == content(whole)


def test_a_store_of_another_version_is_refused(root, whole, tmp_path):
    out = copied(whole, tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
    for use in (data.open, lambda out: made(root, out)):
        with pytest.raises(
            data.StoreError, match=r"made by another version \(its format is 2, this program's is 1\); remove"
        ):
            use(out)


def test_other_folders_are_not_written_to(root, whole, tmp_path):
    write(tmp_path / "letter.txt", b"Dear")
    with pytest.raises(data.StoreError, match="not empty, and not a prepared store; give a new folder"):
        made(root, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(data.StoreError, match=r"letter.txt: cannot be written"):
        made(root, tmp_path / "letter.txt")
    out = copied(whole, tmp_path)
    (out / "records" / "options.json").unlink()
    with pytest.raises(data.StoreError, match="the records of its preparation are gone"):
        made(root, out)


def test_two_at_once(root, tmp_path):
    out = tmp_path / "store"
    out.mkdir()
    with files.lock(out), pytest.raises(files.LockedError, match=rf"another prepare \(process {os.getpid()} on .*wait"):
        made(root, out)
    made(root, out)
    assert not (out / "lock").exists()


def test_a_full_disk_leaves_whole_shards_and_no_parts(root, whole, tmp_path):
    """A limit on the size of files stands for the disk: the second shard of the three is one byte too large."""
    out = tmp_path / "store"
    made(root, out)
    for name in ("manifest.json", "train-00001.npy"):
        (out / name).unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((whole / "train-00001.npy").stat().st_size - 1, before[1]))
    try:
        with pytest.raises(files.DiskFullError) as caught:
            made(root, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(out / "train-00001.npy")
    assert (out / "train-00000.npy").exists() and not (out / "train-00001.npy").exists()
    assert not list(out.rglob("*.tmp")) and not (out / "lock").exists()
    made(root, out)
    assert content(out) == content(whole)
