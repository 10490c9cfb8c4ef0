"""alexnet-cuda prepare: what it prints, and its exit status."""

import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from alexnet_cuda import data
from alexnet_cuda.cli import main
from alexnet_cuda.cli import prepare as command
from alexnet_cuda.data.prepare import Events, prepare


@pytest.fixture
def root(tmp_path):
    """20 training and 4 validation images, one of them CMYK."""
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "src" / split / name).mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8))
                image.save(tmp_path / "src" / split / name / f"{i}.png")
    image.convert("CMYK").save(tmp_path / "src" / "val" / "dog" / "1.png", "JPEG")
    return tmp_path / "src"


def run(*arguments):
    return main(["prepare", *map(str, arguments)])


def test_it_says_what_it_does(root, tmp_path, capsys):
    (root / "train" / ".DS_Store").touch()
    out = tmp_path / "out"
    assert run(root, out, "--size", 8) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert re.fullmatch("preparing: 24 of 24 images(, [\\d,]+ images/s, 0 s left)?", lines.pop(3))
    assert lines[:-1] == [
        f"looking for images in {root}",
        "image folders: 2 classes; images: 20 for train, 4 for val",
        f"note: ignored in {root}/train, by their names: '.DS_Store'",
        "1 image: JPEG file named .png; the first: val/dog/1.png",
        "1 image: CMYK converted to RGB; the first: val/dog/1.png",
    ]
    assert re.fullmatch(
        rf"prepared {out}: 20 training and 4 validation images, 2 classes, 8x8; 0.0 MB in \d+ s", lines[-1]
    )
    assert run(root, out, "--size", 8) == 0
    assert f"nothing to do for {out}: 20 training" in capsys.readouterr().out


def test_options_reach_the_store(root, tmp_path):
    (root / "train" / "cat" / "0.png").write_bytes(b"")
    out = tmp_path / "out"
    options = [
        "--size",
        5,
        "--channels",
        1,
        "--max-bad",
        0.05,
        "--workers",
        1,
        "--exif-orientation",
        "--allow-truncated",
    ]
    assert run(root, out, *options) == 0
    store = data.open(out)
    assert (store.size, store.channels, len(store.train)) == (5, 1, 19)
    assert '"exif_orientation": true' in (out / "manifest.json").read_text()


def test_skipped_images_are_printed_but_not_thousands(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "SKIPPED_LINES", 2)
    for i in range(3):
        (root / "train" / "cat" / f"{i}.png").write_bytes(b"")
    assert run(root, tmp_path / "out", "--size", 8, "--max-bad", 0.2) == 0
    printed = capsys.readouterr().out
    assert "skipped train/cat/0.png: the file is empty\n" in printed
    assert "skipped train/cat/1.png: the file is empty; more are not printed\n" in printed
    assert "skipped train/cat/2.png" not in printed
    assert f"skipped 3, listed in {tmp_path}/out/skipped.txt" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "out"], "nowhere: no such folder"),
        (["src/train", "out"], "no folder 'train' in it; expected "),
        (["src", "src"], "not empty, and not a prepared store; give a new folder"),
        (["src", "out", "--size", "0"], "size: got 0, wanted an integer from 1 to 4096"),
        (["src", "out", "--workers", "0"], "workers: got 0"),
        (["src", "out", "--max-bad", "2"], "max_bad: got 2.0, wanted a fraction from 0 to 1"),
        (["src", "out", "--val-fraction", "0.1"], "leave out --val-fraction"),
        (["src", "out", "--val-labels", "x"], "leave out --val-labels"),
    ],
)
def test_mistakes_are_one_line_and_status_2(root, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("alexnet-cuda: ") and message in error and error.count("\n") == 1


def test_a_store_without_validation_images_that_can_be_read_is_refused(root, tmp_path, capsys):
    for path in (root / "val").rglob("*.png"):
        path.write_bytes(b"")
    for _ in range(2):  # also when all that can be read has been prepared already
        assert run(root, tmp_path / "out", "--size", 8, "--max-bad", 0.5) == 2
        error = capsys.readouterr().err
        assert error.startswith(
            "alexnet-cuda: none of the 4 validation images can be read; the first: val/cat/0.png: the"
        )
        assert "--val-fraction" in error and error.count("\n") == 1
        assert not (tmp_path / "out" / "manifest.json").exists()
    Image.new("RGB", (9, 9)).save(root / "val" / "dog" / "0.png")
    assert run(root, tmp_path / "out", "--size", 8, "--max-bad", 0.5) == 0
    assert len(data.open(tmp_path / "out").val) == 1


def test_a_reader_that_has_seen_enough_is_no_error(root, tmp_path):
    command = [sys.executable, "-m", "alexnet_cuda", "prepare", str(root), str(tmp_path / "out"), "--size", "8"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_reader_that_leaves_in_the_middle_is_not_taken_for_the_disk(root, tmp_path):
    def gone(*_):
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        prepare(root, tmp_path / "out", size=8, workers=1, events=Events(progress=gone))


def test_a_full_disk_is_status_3(root, tmp_path, capsys):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        status = run(root, tmp_path / "out", "--size", 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 3
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"alexnet-cuda: .*/train-00000.npy: .* \([\d,.]+ GB free\); make room and run the same command again,"
        r" which goes on from here\n",
        error,
    )
    assert run(root, tmp_path / "out", "--size", 40) == 0


def test_an_interruption_is_status_130_and_can_be_gone_on_from(root, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command._Lines, "__call__", interrupt)
        assert run(root, tmp_path / "out", "--size", 8) == 130
    assert capsys.readouterr().err == "alexnet-cuda: interrupted; the same command again goes on from here\n"
    assert run(root, tmp_path / "out", "--size", 8) == 0


def test_a_terminal_gets_a_bar(root, tmp_path, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    (root / "train" / "cat" / "[red].png").write_bytes(b"")  # rich would take this for a colour
    assert run(root, tmp_path / "out", "--size", 8, "--max-bad", 0.1) == 0
    printed = capsys.readouterr().out
    assert "25/25" in printed and "images/s" in printed
    assert "skipped train/cat/[red].png: the file is empty" in printed


def test_names_that_are_not_unicode_can_be_printed(root, tmp_path, capsys):
    name = b"\xff\xfe.png"
    (root / "train" / "cat" / name.decode("utf-8", "surrogateescape")).write_bytes(b"")
    assert run(root, tmp_path / "out", "--size", 8, "--max-bad", 0.1) == 0
    assert "skipped train/cat/\\udcff\\udcfe.png" in capsys.readouterr().out


def test_the_command_line_starts_without_pillow_and_rich():
    """They take longer to import than most commands take."""
    program = "import sys, alexnet_cuda.cli.prepare, alexnet_cuda.data; print({'PIL', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"
