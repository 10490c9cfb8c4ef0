"""alexnet-cuda predict."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from PIL import Image

from alexnet_cuda import train
from alexnet_cuda.cli import main


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with two runs in runs/ and an image of each class."""
    home = tmp_path_factory.mktemp("home")
    for number, name in enumerate(("old", "new")):
        net = tiny.net(epochs=6, name=name)
        model = train.fit(net, tiny.store(), out=home / "runs" / name, progress=False, devices="cpu", workers=0)
        os.utime(model.outcome.checkpoint, (1_000_000 + number, 1_000_000 + number))
    for pixels, name in zip(tiny.images(4, seed=20)[0], tiny.CLASSES, strict=True):
        Image.fromarray(pixels).save(home / f"{name}.png")
    return home


@pytest.fixture(autouse=True)
def here(home, monkeypatch):
    monkeypatch.chdir(home)


def test_the_most_probable_classes_by_the_newest_run(home, capsys):
    assert main(["predict", "ant.png", "dog.png"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "model: runs/new\n"
    lines = printed.out.splitlines()
    assert [lines[0], lines[5]] == ["ant.png", "dog.png"]
    rows = [re.fullmatch(r" +(\d+\.\d)%  (\w+)", line).groups() for line in lines[1:5]]
    shares = [float(share) for share, _ in rows]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)
    p = train.Model.load("runs/new").predict(home / "ant.png")[0]
    assert [name for _, name in rows] == [tiny.CLASSES[i] for i in (-p).argsort()]
    assert rows[0][1] == "ant"


def test_another_model_and_fewer_classes(home, capsys):
    assert main(["predict", "bee.png", "--model", "runs/old/checkpoints/best.safetensors", "--top", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert len(printed.out.splitlines()) == 3


def test_an_image_that_cannot_be_read_is_named_and_the_others_go_on(home, capsys):
    Path("page.png").write_text("<html></html>")
    Path("empty.png").write_bytes(b"")
    assert main(["predict", "page.png", "cat.png", "gone.png", "empty.png", "--model", "runs/new"]) == 1
    printed = capsys.readouterr()
    assert [line for line in printed.out.splitlines() if not line.startswith(" ")] == ["cat.png"]
    errors = printed.err.splitlines()
    assert errors[0].startswith("page.png: a web page")
    assert errors[1].startswith("gone.png: cannot be read: No such file")
    assert errors[2] == "empty.png: the file is empty"
    assert errors[3] == "3 of 4 images could not be read"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_that_stdout_cannot_take_is_escaped(home, encoding):
    name = os.fsdecode(b"\xff\xc3\xa9.png")
    Path(name).write_bytes(Path("ant.png").read_bytes())
    command = [sys.executable, "-m", "alexnet_cuda", "predict", name, "bee.png", "--model", "runs/new", "--top", "1"]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": f"{encoding}:strict",
        "PYTHONUTF8": "0",
    }  # fmt: skip
    done = subprocess.run([os.fsencode(word) for word in command], capture_output=True, env=environment)
    Path(name).unlink()
    assert done.returncode == 0, done.stderr
    shown = "\\udcff\u00e9.png" if encoding == "utf-8" else "\\udcff\\xe9.png"
    assert done.stdout.decode(encoding).splitlines()[::2] == [shown, "bee.png"]


def test_an_image_that_is_too_large_is_one_line(home, tmp_path, capsys, recwarn):
    large = tmp_path / "large.png"
    Image.new("1", (10_000, 9_000)).save(large)  # Pillow warns from 89 million pixels on
    assert main(["predict", str(large), "--model", "runs/new"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{large}: 10000 x 9000 pixels, more than the limit of 89,478,485",
        "1 of 1 images could not be read",
    ]
    assert [str(warning.message) for warning in recwarn] == []


def test_without_a_run_one_has_to_be_trained_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "ant.png"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("alexnet-cuda: no trained model in runs/; train one first (alexnet-cuda train)")
    assert error.count("\n") == 1
    assert main(["predict", "ant.png", "--model", "nothing"]) == 2
    assert "nothing: no such file or folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["predict"])
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "ant.png", "--top", "0"])
