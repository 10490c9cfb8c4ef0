"""alexnet-cuda train: what a user types, sees and gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from alexnet_cuda import config
from alexnet_cuda.cli import main
from alexnet_cuda.nn.presets import PRESETS
from alexnet_cuda.train import checkpoint

NET = "import tiny\nnet = tiny.net()\nlong = tiny.net(epochs=10_000, name='long')\nseven = tiny.net(classes=7)\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny.prepared(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NET)
    return tmp_path


def train(store, *arguments: str) -> int:
    return main(
        ["train", "--net", "nets.py:net", "--data", str(store), "--devices", "cpu", "--workers", "0", *arguments]
    )


def test_a_run_ends_with_a_table_and_says_what_it_wrote(store, capsys):
    assert train(store, "--out", "run") == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("tiny, 2,396 parameters, in fp32 on cpu:0; 3 epochs in batches of 8; ")
    assert "; store: 40 training and 20" in lines[0]
    table = next(i for i, line in enumerate(lines) if line.split() == ["images", "top-1", "top-5", "loss"])
    assert lines[table + 1].startswith("training (last epoch, with dropout)")
    assert lines[table + 2].split()[:2] == ["validation", "20"]
    assert lines[-1] == "next: alexnet-cuda predict IMAGE --model run"
    for path in (
        "run/checkpoints/step-0000000015.safetensors", "run/checkpoints/best.safetensors", "run/metrics.jsonl",
        "run/learning_curve.png",
    ):  # fmt: skip
        assert any(line.endswith(f"  {path}") for line in lines), path
        assert Path(path).is_file()
    assert Image.open("run/learning_curve.png").width > 300


def test_quiet_prints_the_results_alone(store, capsys):
    assert train(store, "--out", "run", "--quiet") == 0
    printed = capsys.readouterr()
    assert "epoch 1/3" not in printed.out
    assert printed.out.split()[:4] == ["images", "top-1", "top-5", "loss"]
    assert printed.err == ""


def test_options_reach_the_run(store):
    np.save("ids.npy", np.arange(0, 40, 2))
    options = ["--epochs", "2", "--batch", "4", "--lr", "0.5e-3", "--seed", "9", "--freeze", "conv1", "--freeze", "fc4"]
    assert train(store, "--out", "a", *options, "--subset", "ids.npy", "--checkpoint-every", "3", "--keep", "2") == 0
    found = checkpoint.saved(Path("a/checkpoints"))
    assert [checkpoint.load(path).step for path in found] == [10, 9]
    meta = checkpoint.load(found[0]).meta
    assert (meta["seed"], meta["frozen"]) == (9, ["conv1", "fc4"])
    recipe = meta["net"]["recipe"]
    assert (recipe["epochs"], recipe["batch"], recipe["lr"]) == (2, 4, 0.0005)
    assert meta["subset"] is not None
    assert train(store, "--out", "b", "--init-from", "a", "--no-evaluate", "--epochs", "1") == 0
    assert not Path("b/checkpoints/best.safetensors").exists()


def test_bf16_trains_and_is_evaluated_in_either_precision(store, capsys):
    assert train(store, "--out", "run", "--precision", "bf16") == 0
    assert capsys.readouterr().out.startswith("tiny, 2,396 parameters, in bf16 on cpu:0;")
    assert checkpoint.load(checkpoint.saved(Path("run/checkpoints"))[0]).meta["precision"] == "bf16"
    for options, precision in ([], "bf16"), (["--precision", "fp32"], "fp32"):
        assert main(["eval", "run", "--devices", "cpu", *options]) == 0
        assert capsys.readouterr().out.startswith(f"tiny, step 15, in {precision}; store")
    assert train(store, "--out", "run", "--resume", "auto") == 2
    error = capsys.readouterr().err.splitlines()
    assert "it differs in precision (bf16 there, fp32 here)" in error[-1]


def test_the_same_command_twice_gives_the_same_file(store):
    for out in ("a", "b"):
        assert train(store, "--out", out, "--quiet") == 0
    names = [path.name for path in checkpoint.saved(Path("a/checkpoints"))]
    for name in names:
        assert Path("a/checkpoints", name).read_bytes() == Path("b/checkpoints", name).read_bytes()


def test_a_preset_takes_the_classes_of_the_images(store, capsys):
    """lenet5 has 10; that it sees 28x28 grey pixels is then the next thing that does not fit."""
    assert main(["train", "--net", "lenet5", "--data", str(store)]) == 2
    assert "net 'lenet5' takes 1 channel(s), the images have 3" in capsys.readouterr().err


def test_the_embedded_images_are_as_large_as_the_net_wants_them():
    from alexnet_cuda.cli.arguments import embedded_images

    assert embedded_images(36, 32, 3).size == 36
    assert embedded_images(28, 28, 1).size == 28
    assert embedded_images(256, 20, 1).size == 23  # a net that says nothing about the size of its images


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_resume_goes_on(store, number, status):
    command = [
        sys.executable, "-m", "alexnet_cuda", "train", "--net", "nets.py:long", "--data", str(store), "--out", "run",
        "--devices", "cpu",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    for line in child.stdout:
        if line.startswith("epoch     2/"):
            break
    child.send_signal(number)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == status, errors
    assert "saved run/checkpoints/step-" in out
    assert number.name in errors and "Traceback" not in errors
    step = checkpoint.load(checkpoint.saved(Path("run/checkpoints"))[0]).step
    assert step >= 10
    long = ["--net", "nets.py:long", "--epochs", "10001", "--out", "run", "--resume", "auto"]
    again = subprocess.Popen(
        [*command[:4], *long, *command[6:8], "--devices", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    for line in again.stdout:
        if line.startswith("resumed"):
            break
    again.kill()
    again.communicate()
    assert line.startswith(f"resumed from run/checkpoints/step-{step:010}.safetensors: {step:,} steps")


BAD_ARGUMENTS = [
    (["--batch", "0"], "argument --batch: got 0, wanted at least 1"),
    (["--batch", "many"], "argument --batch: got 'many', wanted an integer"),
    (["--epochs", "-1"], "argument --epochs: got -1, wanted at least 1"),
    (["--lr", "0"], "argument --lr: got 0, wanted a number above 0"),
    (["--lr", "nan"], "argument --lr: got nan, wanted"),
    (["--lr", "fast"], "argument --lr: got 'fast', wanted"),
    (["--seed", "-3"], "argument --seed: got -3, wanted at least 0"),
    (["--seed", str(1 << 64)], "argument --seed: got 18446744073709551616, wanted at most"),
    (["--workers", "-1"], "argument --workers: got -1"),
    (["--precision", "fp64"], "argument --precision: invalid choice: 'fp64' (choose from"),
    (["--classes", "1"], "argument --classes: got 1, wanted at least 2"),
    (["--keep", "0"], "argument --keep: got 0"),
    (["--checkpoint-every", "0"], "argument --checkpoint-every: got 0"),
    (["--subset", "missing.npy"], "argument --subset: missing.npy cannot be read: No such file"),
    (["--subset", "nets.py"], "argument --subset: nets.py is no .npy file"),
    (["--subset", "objects.npy"], "argument --subset: objects.npy is no .npy file of numbers"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=lambda value: " ".join(value)[:40])
def test_arguments_out_of_range(arguments, message, capsys):
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SystemExit) as caught:
        main(["train", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


BAD_RUNS = [
    (["--net", "alexnet_2013"], "unknown preset 'alexnet_2013'"),
    (["--net", "missing.py:net"], "no file 'missing.py'"),
    (["--net", "nets.py:other"], "nets.py has no 'other'; nets in it: net, long, seven"),
    (["--net", "nets.py:seven"], "has 7 outputs, the images 4 classes"),
    (["--classes", "7"], "has 7 outputs, the images 4 classes"),
    (["--net", "alexnet_mini"], "takes crops of 32x32 pixels, the images are 10x10"),
    (["--data", "nothing"], "nothing: no such folder"),
    (["--data", "."], "not a prepared store"),
    (["--devices", "gpu"], "devices: got 'gpu', wanted"),
    (["--freeze", "conv7"], "no layer with weights 'conv7'"),
    (["--resume", "nothing"], "nothing: no such file or folder"),
    (["--init-from", "nets.py"], "nets.py"),
    (["--subset", "far.npy"], "argument 'subset': got id 40, wanted 0 to 39"),
    (["--out", "nets.py"], "nets.py is a file"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_RUNS, ids=lambda value: " ".join(value)[:40])
def test_what_cannot_be_is_one_line_and_status_2(arguments, message, store, capsys):
    np.save("far.npy", np.array([40]))
    assert train(store, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("alexnet-cuda: ")
    assert message in printed.err
    assert not Path("runs").exists()


def header(shape: str) -> bytes:
    """An .npy file of nothing but its beginning."""
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 and nothing else", header("(5,)")[:40], header("(5,"), header("(1 << 70,)"), header(f"({1 << 70},)"),
     header(f"({1 << 50},)"), header("(3,)"), b"", b"1 2 3"],
    ids=range(9),
)  # fmt: skip
def test_a_subset_that_is_no_array_is_one_line(store, capsys, content):
    Path("ids.npy").write_bytes(content)
    with pytest.raises(SystemExit, match="2"):
        train(store, "--subset", "ids.npy")
    error = capsys.readouterr().err
    assert "argument --subset: ids.npy is no .npy file of numbers; write it with numpy.save" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--batch", "0"], "alexnet-cuda train: argument --batch: got 0, wanted at least 1"),
        (["train", "--lr", "nan"], "alexnet-cuda train: argument --lr: got nan, wanted a number above 0"),
        (["train", "--unknown"], "alexnet-cuda: unrecognized arguments: --unknown"),
        (["train", "--batch"], "alexnet-cuda train: argument --batch: expected one argument"),
        ([], "alexnet-cuda: the following arguments are required: COMMAND"),
    ],
)
def test_what_cannot_be_parsed_is_one_line_and_status_2(arguments, line, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err == f"{line} (--help says more)\n"


def test_images_that_do_not_fit_or_are_no_store(capsys):
    Path("nets.py").write_text("import tiny\nnet = tiny.net(channels=4)\n")
    assert main(["train", "--net", "nets.py:net"]) == 2
    error = capsys.readouterr().err
    assert "net 'tiny' takes 4 channels, the embedded images have 1 or 3" in error and "--data STORE" in error
    assert main(["train", "--data", "nets.py"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "alexnet-cuda: nets.py: a file, wanted the folder of a store; make one with: alexnet-cuda prepare SRC OUT\n"
    )


def test_an_unknown_preset_gets_the_list(store, capsys):
    assert main(["train", "--net", "alexnett"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in PRESETS)


def test_two_gpus_where_there_are_none(store, capsys):
    if config.cuda_problem() is None:
        pytest.skip("this machine has a GPU")
    assert train(store, "--devices", "cuda:0,cuda:1") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_resume_with_another_net(store, capsys):
    assert train(store, "--out", "run", "--quiet", "--epochs", "1") == 0
    assert train(store, "--out", "run", "--resume", "auto", "--net", "nets.py:long", "--epochs", "1") == 2
    error = capsys.readouterr().err
    assert "it differs in net (tiny there, long here)" in error
    assert error.count("\n") == 1
    assert train(store, "--out", "run") == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_is_status_1(store, capsys):
    assert train(store, "--lr", "1e30", "--out", "run") == 1
    error = capsys.readouterr().err
    assert error.startswith("alexnet-cuda: step ")
    assert error.count("\n") == 1
    assert "train/" in error  # where the images came from


def test_help_has_examples(capsys):
    for command in ("train", "eval", "predict"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        printed = capsys.readouterr().out
        assert f"  alexnet-cuda {command}" in printed
        assert max(map(len, printed.splitlines())) <= 120
