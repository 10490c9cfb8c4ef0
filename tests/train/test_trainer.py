"""What a run computes, writes and returns."""

from __future__ import annotations

import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from alexnet_cuda import config, nn, train
from alexnet_cuda.data.loader import Loader
from alexnet_cuda.errors import DeviceError
from alexnet_cuda.ops import backends
from alexnet_cuda.train import checkpoint, hardware, metrics
from alexnet_cuda.train.optimizer import rates, stated_rate
from alexnet_cuda.train.schedule import Schedule


def fit(tmp_path, net=None, store=None, **options):
    options = {"out": tmp_path, "progress": False, "devices": "cpu", "workers": 0, **options}
    return train.fit(tiny.net() if net is None else net, tiny.store() if store is None else store, **options)


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_net_learns(tmp_path):
    model = fit(tmp_path, epochs=8)
    assert model.outcome.validation.top1 > 0.9  # guessing gives 0.25
    assert model.outcome.validation.images == 40
    assert model.outcome.train.images == 100
    assert model.evaluate(tiny.store()).top1 == model.outcome.validation.top1


def test_every_step_is_the_recipes(tmp_path):
    """The same run, written out: initial weights, order, dropout's step numbers, rates and means."""
    net, store = tiny.net(), tiny.store()
    schedule = nn.Steps((nn.Drop(1, 0.5),), color_until=2)
    net = net.replace(recipe=dataclasses.replace(net.recipe, schedule=schedule))
    trained = fit(tmp_path, net, store, seed=7).weights

    graph = nn.place(net, nn.devices("cpu"), 8, seed=7, mean=store.mean_image)
    graph.set_weights(net.initial(7))
    graph.set_momenta({name: np.zeros(p.shape, np.float32) for name, p in net.parameters.items()})
    step = 0
    for epoch, factor in enumerate((1.0, 0.5, 0.5)):
        color = 0.1 if epoch < 2 else 0.0
        loader = Loader(
            store.train, store, batch=8, crop=8, training=True, seed=7, augmentation=nn.Augmentation(color=color)
        )
        for batch in loader.epoch(epoch):
            step += 1
            graph.feed(batch.images, batch.labels, batch.offsets, batch.flips, batch.color_shift)
            rate = {
                name: nn.Rate(0.01 * factor * p.lr, 0.0005 * p.decay) for name, p in net.parameters.items()
            }  # fmt: skip
            graph.train_step(step, rate, 0.9)
    assert step == 39
    assert same(trained, graph.weights())


def test_the_same_run_twice_has_the_same_bits_whatever_the_workers(tmp_path):
    runs = [fit(tmp_path / str(i), workers=workers).weights for i, workers in enumerate((0, 0, 1, 3))]
    assert all(same(runs[0], other) for other in runs[1:])
    assert not same(runs[0], fit(tmp_path / "other seed", seed=1).weights)


def test_two_devices_train_as_one_does(tmp_path):
    one = fit(tmp_path / "1", devices="cpu", epochs=1).weights
    two = fit(tmp_path / "2", devices="cpu,cpu", epochs=1).weights
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_rates_are_recipe_times_schedule_times_layer():
    net = nn.Net(
        [nn.Conv(4, 3, weight_lr=2.0, bias_lr=3.0, weight_decay=0.5), nn.FullyConnected(4, name="out")], (3, 8, 8),
        recipe=nn.Recipe(
            lr=0.1, weight_decay=0.01, schedule=nn.Steps((nn.Drop(2, 0.1), nn.Drop(4, 0.01, ("out",)))),
            bias_schedule=nn.Steps((nn.Drop(1, 0.5),)),
        ),
    )  # fmt: skip
    schedule = Schedule(net.recipe)
    assert rates(net, schedule, 0.5) == {
        "conv1.w": nn.Rate(0.1 * 2.0, 0.005), "conv1.b": nn.Rate(0.1 * 3.0, 0.0),
        "out.w": nn.Rate(0.1, 0.01), "out.b": nn.Rate(0.1, 0.0),
    }  # fmt: skip
    late = rates(net, schedule, 4.0)
    assert [late[name].lr for name in ("conv1.w", "conv1.b", "out.w", "out.b")] == pytest.approx(
        [0.02, 0.15, 0.001, 0.05]
    )
    assert stated_rate(net, schedule, 0.5) == 0.1
    frozen = rates(net, schedule, 0.0, frozen=("conv1",))
    assert frozen["conv1.w"] == frozen["conv1.b"] == nn.Rate(0.0)
    assert frozen["out.w"].lr == 0.1


def test_frozen_layers_stay(tmp_path):
    net = tiny.net()
    weights = fit(tmp_path, net, freeze=["conv1", "fc3"], epochs=1).weights
    for name, before in net.initial(0).items():
        assert np.array_equal(weights[name], before) == (name.partition(".")[0] in ("conv1", "fc3")), name


def test_a_subset_is_all_that_is_seen(tmp_path):
    store = tiny.store()
    ids = np.array([5, 90, 17, 33, 2, 61, 48, 77, 99, 0])
    model = fit(tmp_path / "a", store=store, subset=ids, epochs=1)
    assert model.outcome.train.images == 10
    assert checkpoint.load(model.outcome.checkpoint).step == 2
    reordered = fit(tmp_path / "b", store=store, subset=ids[::-1], epochs=1)
    assert same(model.weights, reordered.weights)


def test_weights_of_another_run_and_a_new_last_layer(tmp_path):
    first = fit(tmp_path / "first", epochs=1)
    store = tiny.store(classes=(*tiny.CLASSES, "elk"))
    second = fit(
        tmp_path / "second", tiny.net(classes=5), store, init_from=tmp_path / "first", epochs=1, seed=3,
        freeze=["conv1", "conv2", "fc3"],
    )  # fmt: skip
    for name in ("conv1.w", "conv2.b", "fc3.w"):
        assert np.array_equal(second.weights[name], first.weights[name])
    assert second.weights["fc4.w"].shape == (16, 5)
    # Momentum begins at zero: with the rate at nearly nothing, weights are those of the file.
    third = fit(tmp_path / "third", init_from=first.outcome.checkpoint, lr=1e-30, epochs=1)
    assert same(third.weights, first.weights)


def test_weights_that_do_not_fit_are_listed_in_one_line(tmp_path):
    fit(tmp_path / "first", tiny.net(towers=1), epochs=1)
    with pytest.raises(train.CheckpointError, match=r"conv2\.w \(4x3x3x8 there, 2x3x3x8 here\)") as caught:
        fit(tmp_path / "second", init_from=tmp_path / "first")
    assert "\n" not in str(caught.value)


def test_metrics_say_what_happened(tmp_path):
    model = fit(tmp_path, seed=5)
    lines = metrics.read(model.outcome.metrics)
    assert lines[0]["kind"] == "run"
    assert (lines[0]["net"], lines[0]["seed"], lines[0]["batch"]) == ("tiny", 5, 8)
    of_training = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in of_training] == list(range(1, 40))  # 13 steps an epoch
    assert of_training[-1]["epoch"] == 3.0
    assert {line["rate"] for line in of_training} == {0.01}
    validation = [line for line in lines if line["kind"] == "validation"]
    assert [(line["step"], line["epoch"]) for line in validation] == [(13, 1.0), (26, 2.0), (39, 3.0)]
    assert validation[-1]["loss"] == model.outcome.validation.loss
    best = max(validation, key=lambda line: line["top1"])
    assert model.outcome.best == {"top1": best["top1"], "epoch": best["epoch"]}
    # An epoch's mean is the mean over its lines, each of 8 images, the last of 4.
    losses = [line["loss"] for line in of_training[-13:]]
    assert (sum(losses[:12]) * 8 + losses[12] * 4) / 100 == pytest.approx(model.outcome.train.loss)


@pytest.mark.parametrize(("images", "intervals"), [(8 * 79, {7, 8}), (8 * 40, {4}), (8 * 9, {1}), (8 * 1, {1})])
def test_every_line_is_a_mean_over_as_many_batches(tmp_path, images, intervals):
    store = tiny.store(train=images, val=None)
    lines = metrics.read(fit(tmp_path, store=store, epochs=2).outcome.metrics)
    steps = [line["step"] for line in lines]
    assert set(np.diff(steps)) == intervals
    assert steps[-1] == 2 * images // 8
    assert images // 8 in steps  # none is over two epochs


def test_the_best_checkpoint_is_the_best_epochs(tmp_path):
    model = fit(tmp_path, epochs=4)
    best = train.Model.load(model.outcome.best_checkpoint, devices="cpu")
    assert best.evaluate(tiny.store()).top1 == model.outcome.best["top1"]
    assert checkpoint.load(model.outcome.best_checkpoint).step == 13 * model.outcome.best["epoch"]


def test_a_plateau_stops_the_run(tmp_path):
    schedule = nn.Plateau(patience=1, drops=0)
    net = tiny.net(epochs=50, schedule=schedule, lr=1e-30)  # the second epoch is no better than the first
    model = fit(tmp_path, net)
    assert model.outcome.epochs == 2


def test_without_validation_images_a_run_only_trains(tmp_path):
    model = fit(tmp_path / "none", store=tiny.store(val=None), epochs=1)
    assert model.outcome.validation is None
    assert model.outcome.best is model.outcome.best_checkpoint is None
    assert {line["kind"] for line in metrics.read(model.outcome.metrics)} == {"run", "train"}
    assert fit(tmp_path / "off", evaluate=False, epochs=1).outcome.validation is None


@pytest.mark.parametrize("mean", ["image", "channel", "none"])
def test_the_mean_is_the_recipes_and_goes_into_the_checkpoint(tmp_path, mean):
    store = tiny.store()
    model = fit(tmp_path, tiny.net(mean=mean), store, epochs=1)
    saved = checkpoint.load(model.outcome.checkpoint).arrays.get("mean")
    expected = {"image": store.mean_image, "channel": store.mean_image.mean(axis=(0, 1)), "none": None}[mean]
    if expected is None:
        assert saved is None
    else:
        np.testing.assert_allclose(saved, expected, rtol=1e-6)


def test_without_a_folder_a_run_gets_one_in_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = fit(tmp_path, out=None, epochs=1)
    assert model.outcome.run.parent.name == "runs"
    assert model.outcome.run.name.startswith("tiny-")
    assert json.loads(model.outcome.metrics.read_text().splitlines()[0])["net"] == "tiny"


def test_progress_goes_to_the_stream(tmp_path, capsys):
    fit(tmp_path / "quiet", epochs=1)
    assert capsys.readouterr() == ("", "")
    fit(tmp_path / "shown", epochs=1, progress=True)
    shown = capsys.readouterr().out
    assert "tiny: 100 training and 40 validation images" in shown
    assert "validation: " in shown


# --- devices


def test_the_operations_of_a_net_are_those_it_calls(monkeypatch):
    pieces = [
        nn.LRN(3), nn.LRNWithinChannel(3), nn.Tanh(), nn.AvgPool(2, 2), nn.Conv(4, 3, pad=1, sees="own"), nn.Sigmoid(),
        nn.MaxPool(2, 2), nn.FullyConnected(8, sees="own"), nn.ReLU(), nn.Dropout(0.5, inverted=False),
        nn.FullyConnected(4),
    ]  # fmt: skip
    net = nn.Net([nn.Conv(4, 3, pad=1), *pieces], (3, 8, 8), towers=2)
    called = set()

    def noting(name, op, implementation=backends.implementation):
        called.add(op)
        return implementation(name, op)

    monkeypatch.setattr(backends, "implementation", noting)
    images = np.zeros((2, 8, 8, 3), np.uint8)
    for devices, fuse_updates in itertools.product(("cpu", "cpu,cpu"), (False, True)):
        graph = nn.place(net, nn.devices(devices), 2, fuse=False, fuse_updates=fuse_updates)
        graph.set_weights(net.initial(0))
        graph.set_momenta(net.initial(0))
        graph.feed(images, np.zeros(2, np.int32), np.zeros((2, 2), np.int32), np.zeros(2, np.uint8))
        graph.evaluate()
        graph.train_step(1, dict.fromkeys(net.parameters, nn.Rate(0.1)), 0.9)
    assert called == set(hardware.operations(net))


def test_a_users_own_layer_says_which_operations_it_calls():
    class Mine(nn.ReLU):
        operations = ("relu", "sigmoid_backward")

    own = nn.Net([Mine(), nn.FullyConnected(4)], (3, 8, 8))
    plain = nn.Net([nn.FullyConnected(4)], (3, 8, 8))
    assert set(hardware.operations(own)) == {*hardware.operations(plain), "relu", "sigmoid_backward"}


def test_the_best_device_is_one_that_has_every_kernel(monkeypatch):
    net = tiny.net()
    whole = SimpleNamespace(**dict.fromkeys(hardware.operations(net)))
    for problem, kernels, gpus, expected in (
        ("no driver", whole, 2, "cpu"),
        (None, SimpleNamespace(relu=None), 2, "cpu"),
        (None, whole, 1, "cuda:0"),
        (None, whole, 2, "cuda:0,cuda:1"),
    ):
        status = SimpleNamespace(device_status=lambda gpus=gpus: (13000, 13000, gpus, None))
        monkeypatch.setattr(config, "cuda_problem", lambda problem=problem: problem)
        monkeypatch.setattr(config, "load", lambda name, status=status: (status, ""))
        monkeypatch.setattr(backends, "load", lambda name, kernels=kernels: kernels)
        assert train.best_devices(net) == expected
    assert train.best_devices(tiny.net(towers=1)) == "cuda:0"


def test_a_device_without_kernels_says_which(monkeypatch):
    monkeypatch.setattr(backends, "load", lambda name: SimpleNamespace(relu=None))
    with pytest.raises(DeviceError, match="emulated:0: net 'tiny' needs add, augment, .* use the device cpu"):
        hardware.usable_devices(tiny.net(), "emulated")
