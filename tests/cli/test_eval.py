"""alexnet-cuda eval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from alexnet_cuda import data, train
from alexnet_cuda.cli import main
from alexnet_cuda.data.sample import sample


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A net that has seen a few of the embedded images."""
    out = tmp_path_factory.mktemp("runs") / "grey"
    net = tiny.net(classes=10, towers=1, size=12, channels=1, batch=64, epochs=1, store_size=14)
    train.fit(net, sample(14, 1), subset=np.arange(640), out=out, progress=False, devices="cpu")
    return out


def top1(printed: str) -> str:
    return next(line for line in printed.splitlines() if line.startswith("validation")).split()[-3]


def test_the_images_are_those_of_the_run_unless_others_are_named(run, capsys):
    assert main(["eval", str(run), "--devices", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny, step 10, in fp32; embedded Fashion-MNIST")
    expected = train.Model.load(run, devices="cpu").evaluate(sample(14, 1))
    assert top1(printed) == f"{expected.top1:.2%}"
    assert f"checkpoint  {run}/checkpoints/step-0000000010.safetensors" in printed


def test_a_run_on_a_store_remembers_where_it_is(tmp_path, capsys):
    store = tiny.prepared(tmp_path)
    model = train.fit(tiny.net(), data.open(store), out=tmp_path / "run", progress=False, devices="cpu")
    assert main(["eval", str(tmp_path / "run"), "--devices", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny, step 15, in fp32; store: 40 training")
    assert top1(printed) == f"{model.outcome.validation.top1:.2%}"
    best = str(model.outcome.best_checkpoint)
    assert main(["eval", best, "--data", str(store), "--views", "10", "--split", "train", "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "training (ten views)" in printed
    store.rename(tmp_path / "elsewhere")
    assert main(["eval", best]) == 2
    assert "store: no such folder" in capsys.readouterr().err


def test_without_a_name_it_is_the_newest_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["eval"]) == 2
    assert "no trained model in runs/; train one first" in capsys.readouterr().err
    train.fit(tiny.net(epochs=1), data.open(tiny.prepared(tmp_path)), progress=False, devices="cpu")
    assert main(["eval"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("model: runs/tiny-")
    assert "validation (centre crop)" in printed.out


def test_images_that_were_in_memory_have_to_be_named(tmp_path, capsys):
    train.fit(tiny.net(epochs=1), tiny.store(), out=tmp_path, progress=False, devices="cpu")
    assert main(["eval", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "trained on other images (tiny: 100 training" in error and "--data STORE" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: no such file or folder"),
        (["."], "no checkpoint in it"),
        (["RUN", "--data", "nothing"], "nothing: no such folder"),
        (["RUN", "--devices", "tpu"], "devices: got 'tpu'"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(arguments, message, run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", *(str(run) if argument == "RUN" else argument for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_truncated_checkpoint_is_named(run, tmp_path, capsys):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(Path(run, "checkpoints/best.safetensors").read_bytes()[:-50])
    assert main(["eval", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
