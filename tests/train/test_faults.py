"""What a user gets who asks for what cannot be, or whose run goes wrong."""

from __future__ import annotations

import errno
import json
import signal

import numpy as np
import pytest
import tiny

from alexnet_cuda import config, nn, train
from alexnet_cuda.data.store import Split
from alexnet_cuda.errors import DeviceError
from alexnet_cuda.nn.graph import Graph, StepResult
from alexnet_cuda.train import checkpoint, container, evaluate, loop


def fit(out, net=None, store=None, **options):
    options = {"out": out, "progress": False, "devices": "cpu", "workers": 0, **options}
    return train.fit(tiny.net() if net is None else net, tiny.store() if store is None else store, **options)


def grey():
    return tiny.net(towers=1, channels=1)


BAD = {
    r"net.* got a str, wanted nn\.preset\('lenet5'\)": (TypeError, lambda: {"net": "lenet5"}),
    r"store.* got a str, wanted data\.open\('images'\)": (TypeError, lambda: {"store": "images"}),
    r"net 'tiny' takes 1 channel\(s\), the images have 3": (ValueError, lambda: {"net": grey()}),
    r"takes crops of 12x12 pixels, the images are 10x10 .* --size 12": (
        ValueError, lambda: {"net": tiny.net(size=12, store_size=10)},
    ),
    r"has 7 outputs, the images 4 classes .* to 4 outputs": (ValueError, lambda: {"net": tiny.net(classes=7)}),
    r"takes 8x10 pixels, but": (ValueError, lambda: {"net": tiny.net().replace(input_shape=(3, 8, 10))}),
    r"'batch': got 0, wanted at least 1": (ValueError, lambda: {"batch": 0}),
    r"'batch': got 2.5, wanted an integer": (TypeError, lambda: {"batch": 2.5}),
    r"'epochs': got -1, wanted at least 1": (ValueError, lambda: {"epochs": -1}),
    r"'seed': got -1, wanted at least 0": (ValueError, lambda: {"seed": -1}),
    r"'workers': got -2, wanted at least 0": (ValueError, lambda: {"workers": -2}),
    r"'lr': got nan": (ValueError, lambda: {"lr": float("nan")}),
    r"'lr': got -1": (ValueError, lambda: {"lr": -1.0}),
    r"'checkpoint_every': got 0": (ValueError, lambda: {"checkpoint_every": 0}),
    r"'checkpoint_minutes': got 0": (ValueError, lambda: {"checkpoint_minutes": 0}),
    r"precision: got 'fp16', wanted 'fp32' or 'bf16'": (ValueError, lambda: {"precision": "fp16"}),
    r"precision: got 'fp64', wanted 'fp32' or 'bf16'": (ValueError, lambda: {"precision": "fp64"}),
    r"precision: got None, wanted": (ValueError, lambda: {"precision": None}),
    r"'keep': got 0": (ValueError, lambda: {"keep": 0}),
    r"no layer with weights 'conv9'; there are conv1, conv2, fc3, fc4": (ValueError, lambda: {"freeze": ["conv9"]}),
    r"every layer is frozen": (ValueError, lambda: {"freeze": ["conv1", "conv2", "fc3", "fc4"]}),
    r"'subset': got id 100, wanted 0 to 99": (ValueError, lambda: {"subset": np.array([0, 100])}),
    r"'subset': got id 3 twice": (ValueError, lambda: {"subset": np.array([3, 3])}),
    r"'subset': got an array float64": (ValueError, lambda: {"subset": np.array([0.5])}),
    r"devices: got 'gpu', wanted": (ValueError, lambda: {"devices": "gpu"}),
    r"1 tower\(s\) and cannot be placed on 2": (
        ValueError, lambda: {"net": tiny.net(towers=1), "devices": "cpu,cpu"},
    ),
    r"follows the validation error, but the store has none": (
        ValueError, lambda: {"net": tiny.net(schedule=nn.Plateau()), "store": tiny.store(val=None)},
    ),
    r"follows the validation error, but evaluation is switched off": (
        ValueError, lambda: {"net": tiny.net(schedule=nn.Plateau()), "evaluate": False},
    ),
    r"both init_from and resume": (ValueError, lambda: {"init_from": "a", "resume": "b"}),
    r"nowhere: no such file or folder": (ValueError, lambda: {"init_from": "nowhere"}),
    r"never: no such file or folder": (ValueError, lambda: {"resume": "never"}),
    r"batch: got 1,000, more than the 100 training images": (ValueError, lambda: {"batch": 1000}),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_said_in_one_line_before_anything_is_written(message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind, options = BAD[message]
    with pytest.raises(kind, match=message) as caught:
        fit("run", **options())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_two_gpus_where_there_are_none(tmp_path):
    if config.cuda_problem() is None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError) as caught:
        fit(tmp_path / "run", devices="cuda:0,cuda:1")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# --- a loss that is not finite


def exploding() -> nn.Net:
    """The first epoch is like any other; in the second the rate is past all bounds."""
    return tiny.net(schedule=nn.Steps((nn.Drop(1, 1e30),)))


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
    with pytest.raises(train.TrainingError) as caught:
        fit(tmp_path, exploding())
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("step 15 (epoch 2), learning rate 1e+28: the loss is ")  # step 14 made the weights
    assert "first not finite: activation of " in message
    assert "train#" in message
    last = tmp_path / "checkpoints/step-0000000013.safetensors"
    assert f"--init-from {last} --lr 0.005" in message
    # The last good checkpoint is whole, and no other came after it.
    assert [path.name for path in checkpoint.saved(tmp_path / "checkpoints")] == [last.name]
    found = checkpoint.load(last)
    assert all(np.isfinite(array).all() for array in found.arrays.values())


def test_the_batchs_images_are_listed(tmp_path):
    store = tiny.store()
    batches = []
    original = Graph.feed

    def feeding(self, images, labels, *rest):
        batches.append((images.copy(), labels.copy()))
        original(self, images, labels, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Graph, "feed", feeding)
        with pytest.raises(train.TrainingError):
            fit(tmp_path, exploding(), store)
    report = json.loads((tmp_path / loop.FAULT).read_text())
    images, labels = batches[-1]
    assert [image["label"] for image in report["images"]] == labels.tolist()
    ids = np.array([image["id"] for image in report["images"]])
    np.testing.assert_array_equal(store.train.take(ids), images)
    assert report["images"][0]["source"] == f"train#{ids[0]}"
    assert (report["step"], report["epoch"]) == (15, 2)


def test_before_the_first_checkpoint_there_is_other_advice(tmp_path):
    with pytest.raises(train.TrainingError, match=r"no checkpoint yet; try a lower learning rate \(--lr 5"):
        fit(tmp_path, lr=1e30)


def overflowing() -> nn.Net:
    """One layer, whose loss and gradients (1e12) stay finite whatever the weights are. In the second epoch's first
    step the rate is 1e28, and the update no number."""
    recipe = nn.Recipe(
        batch=8, epochs=3, lr=1e-10, pixel_scale=1e10, store_size=10, schedule=nn.Steps((nn.Drop(1, 1e38),))
    )
    return nn.Net([nn.FullyConnected(4, init=nn.Normal(1e-13))], (3, 8, 8), name="tiny", recipe=recipe)


def test_weights_that_are_not_finite_push_out_no_checkpoint(tmp_path):
    with pytest.raises(train.TrainingError) as caught:
        fit(tmp_path, overflowing(), checkpoint_every=1, keep=1)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(
        "step 14, learning rate 1e+28: the update has left the range of numbers; first not finite"
    )
    last = tmp_path / "checkpoints/step-0000000013.safetensors"
    assert f"parameter fc1.w; nothing is saved of it; the last checkpoint is {last};" in message
    assert [path.name for path in checkpoint.saved(tmp_path / "checkpoints")] == [last.name]
    assert checkpoint.load(last).step == 13


def test_advice_names_no_checkpoint_that_is_damaged(tmp_path, monkeypatch):
    original = checkpoint.save

    def save(*arguments, **options):
        path = original(*arguments, **options)
        content = path.read_bytes()
        path.write_bytes(content[:-9] if options["step"] == 13 else content)
        return path

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(train.TrainingError, match="the last checkpoint is .*/step-0000000012.safetensors;"):
        fit(tmp_path / "a", exploding(), evaluate=False, checkpoint_every=3)
    with pytest.raises(train.TrainingError, match=r"no checkpoint can be used; try a lower learning rate \(--lr 0"):
        fit(tmp_path / "b", exploding(), evaluate=False)


def test_a_validation_loss_that_is_not_finite_stops_too(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "_centre", lambda graph, batch: StepResult(float("nan"), (0, 0), 8))
    with pytest.raises(train.TrainingError, match="epoch 1: the loss on the validation images is nan"):
        fit(tmp_path)


def test_a_net_that_guesses_is_warned_about_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "FLAT_STEPS", 20)
    fit(tmp_path / "guesses", tiny.net(std=1e-6), lr=1e-6, epochs=4)
    assert capsys.readouterr().err.count("stayed at ln(4) = 1.386") == 1
    fit(tmp_path / "learns", epochs=4)
    assert "ln(4)" not in capsys.readouterr().err


# --- a disk that is full


def full_disk(monkeypatch, saves: set[int]) -> None:
    """Writing the checkpoints with these numbers, from 0, finds no room."""
    original, count = container.write, iter(range(1000))

    def write(*arguments):
        if next(count) in saves:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(*arguments)

    monkeypatch.setattr(container, "write", write)


def test_a_full_disk_that_gets_room_again_is_a_warning(tmp_path, monkeypatch, capsys):
    full_disk(monkeypatch, {1})
    model = fit(tmp_path)
    assert model.outcome.epochs == 3
    warnings = capsys.readouterr().err
    assert warnings.count("No space left on device") == 1
    assert [checkpoint.load(path).step for path in checkpoint.saved(tmp_path / "checkpoints")] == [39, 13]


def test_a_disk_that_stays_full_is_an_error_at_the_end(tmp_path, monkeypatch):
    full_disk(monkeypatch, {1, 2})
    with pytest.raises(train.TrainingError, match="training has ended, but its last state is not on the disk: .*space"):
        fit(tmp_path)
    assert [checkpoint.load(path).step for path in checkpoint.saved(tmp_path / "checkpoints")] == [13]
    monkeypatch.undo()
    assert fit(tmp_path, resume="auto").outcome.epochs == 3  # only what was not saved is done again


@pytest.mark.parametrize("step", [5, 13])  # within an epoch, and at its end
def test_a_stop_that_the_disk_does_not_take_says_so(tmp_path, monkeypatch, capsys, step):
    full_disk(monkeypatch, {0})
    original = loop.Loop._step

    def stepping(self, batch):
        original(self, batch)
        if self.state.step == step:
            self.interrupts.request_stop(signal.SIGTERM)

    monkeypatch.setattr(loop.Loop, "_step", stepping)
    with pytest.raises(train.TrainingError, match="^stopped by SIGTERM; the state is not saved: .*No space left"):
        fit(tmp_path)
    assert capsys.readouterr().err == ""  # neither "saved" nor "training goes on"
    assert checkpoint.saved(tmp_path / "checkpoints") == []


# --- images that cannot be read any more


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_vanish_stop_the_run_which_can_be_resumed(tmp_path, monkeypatch, workers):
    original = Split.take

    def take(self, ids):
        if self.name == "train" and 42 in ids:
            raise OSError(errno.ESTALE, "Stale file handle", "shard-0.npy")
        return original(self, ids)

    monkeypatch.setattr(Split, "take", take)
    with pytest.raises(OSError, match="Stale file handle"):
        fit(tmp_path, workers=workers, checkpoint_every=1)
    monkeypatch.undo()
    assert fit(tmp_path, resume="auto", workers=workers).outcome.epochs == 3
