"""A placed net in use: what it refuses, what it does with a bad loss, frozen layers, evaluation."""

import numpy as np
import pytest
from lazy import LazyDevice, World
from nets import BATCH, LARGE, batch, like_alexnet, placed, rates

from alexnet_cuda import nn


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu", "late"])
def test_a_loss_that_is_not_finite_changes_no_weight(devices):
    net = like_alexnet()
    world = World(1)
    graph = placed(net, [LazyDevice(world, "late:0"), LazyDevice(world, "late:1")] if devices == "late" else devices)
    x, labels = batch(net, 0)
    graph.feed_array(x, labels)
    graph.train_step(0, rates(net), 0.9)
    before = graph.weights(), graph.momenta()
    bad = x.copy()
    bad[0, 5, 5, 1] = np.nan
    graph.feed_array(bad, labels)
    graph.train_step(1, rates(net), 0.9)
    graph.feed_array(x, labels)  # the fault stays until it is cleared
    graph.train_step(2, rates(net), 0.9)
    for old, new in zip(before, (graph.weights(), graph.momenta()), strict=True):
        assert all(np.array_equal(old[name], new[name]) for name in old)
    graph.clear_fault()
    graph.train_step(2, rates(net), 0.9)
    assert not np.array_equal(before[0]["conv1.w"], graph.weights()["conv1.w"])


def test_the_first_bad_layer_is_named():
    net = like_alexnet()
    graph = placed(net, "cpu,cpu")
    x, labels = batch(net, 0)
    graph.feed_array(x, labels)
    graph.train_step(0, rates(net), 0.9)
    assert graph.first_non_finite() is None
    graph.feed_array(np.where(x == x.max(), np.inf, x), labels)
    graph.train_step(1, rates(net), 0.9)
    assert not np.isfinite(graph.result().loss)
    assert graph.first_non_finite() == "activation of data"
    values = net.initial(3)
    values["conv2.w"] = np.full_like(values["conv2.w"], 1e38)
    graph = placed(net, "cpu", dtype=np.float32)
    graph.set_weights(values)
    graph.feed_array(x, labels)
    graph.train_step(0, rates(net), 0.9)
    assert graph.first_non_finite() == "activation of conv2"


def test_a_rate_of_zero_leaves_a_parameter_and_its_momentum_alone():
    net = like_alexnet()
    graph = placed(net, "cpu,cpu")
    momenta = {name: np.ones_like(value) for name, value in net.initial(3).items()}
    graph.set_momenta(momenta)
    frozen = rates(net) | {"conv2.w": nn.Rate(0.0, 0.01), "conv2.b": nn.Rate(0.0)}
    graph.feed_array(*batch(net, 0))
    graph.train_step(0, frozen, 0.9)
    for name, before in net.initial(3).items():
        still = name.startswith("conv2")
        assert np.array_equal(graph.weights()[name], before) == still, name
        assert np.array_equal(graph.momenta()[name], momenta[name]) == still, name


def test_the_update_is_the_papers():
    """v = .9 v - decay * lr * w - lr * dw; w += v, with each parameter's own rate and decay."""
    net = like_alexnet()
    graph = placed(net, "cpu")
    before = {name: value.astype(np.float64) for name, value in net.initial(3).items()}
    momenta = {name: 0.01 * np.ones_like(value) for name, value in before.items()}
    graph.set_momenta(momenta)
    graph.feed_array(*batch(net, 0))
    graph.train_step(0, rates(net), 0.9)
    for name, rate in rates(net).items():
        v = 0.9 * momenta[name] - rate.weight_decay * rate.lr * before[name] - rate.lr * graph.gradients()[name]
        np.testing.assert_allclose(graph.momenta()[name], v, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(graph.weights()[name], before[name] + v, rtol=1e-12, atol=1e-15)


def test_dropout_is_scaled_at_test_time_when_it_is_not_inverted():
    layers = [nn.FullyConnected(8, init=LARGE, bias=1.0), nn.Dropout(0.25, inverted=False), nn.FullyConnected(3)]
    net = nn.Net(layers, (1, 2, 2))
    graph = placed(net, "cpu")
    x = np.random.default_rng(0).standard_normal((1, 2, 2, BATCH))
    graph.feed_array(x, np.zeros(BATCH, np.int32))
    graph.evaluate()
    w, b = (net.initial(3)[f"fc1.{p}"].astype(np.float64) for p in "wb")
    np.testing.assert_allclose(graph.activation("drop1"), 0.25 * (w.T @ x.reshape(4, -1) + b[:, None]), rtol=1e-12)


def test_the_same_step_draws_the_same_dropout_and_another_does_not():
    net = like_alexnet()
    graph = placed(net, "cpu")
    graph.feed_array(*batch(net, 0))
    losses = []
    for step in (4, 4, 5):
        graph.evaluate(training=True, step=step)
        losses.append(graph.result().loss)
    assert losses[0] == losses[1] != losses[2]


def test_tanh_is_not_overwritten_by_what_its_gradient_needs():
    """Dropout after tanh, sigmoid after ReLU: in place they would lose the output that backward reads."""
    layers = [nn.Conv(4, 3, init=LARGE), nn.ReLU(), nn.Sigmoid(), nn.Dropout(), nn.FullyConnected(3)]
    graph = placed(nn.Net(layers, (1, 6, 6)), "cpu")
    arrays = [graph.tensors[name].pieces[0][2] for name in ("conv1", "relu1", "sigmoid1", "drop1")]
    assert arrays[0] is arrays[1]
    assert not any(np.shares_memory(a, b) for a, b in ((arrays[1], arrays[2]), (arrays[2], arrays[3])))


def test_weights_are_whole_layers_wherever_the_net_is():
    net = like_alexnet(0)
    values = net.initial(3)
    graph = placed(net, "cpu,cpu", dtype=np.float32)
    assert all(np.array_equal(graph.weights()[name], value) for name, value in values.items())
    halves = [piece.value for piece in graph.slices["conv1.w"]]
    np.testing.assert_array_equal(np.concatenate(halves, axis=-1), values["conv1.w"])
    assert len(graph.slices["fc7.w"]) == 1  # on tower 0 alone
    with pytest.raises(ValueError, match=r"parameter 'conv1.w': got shape \[3\], wanted \[3, 3, 3, 8\]"):
        graph.set_weights(values | {"conv1.w": np.zeros(3)})
    with pytest.raises(ValueError, match="do not match: conv9.w"):
        graph.set_weights(values | {"conv9.w": np.zeros(3)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, "batch: got 0, wanted at least 1 image"),
        ({"batch": True}, "batch: got True"),
        ({"precision": "fp16"}, "precision: got 'fp16', wanted 'fp32', 'bf16' or 'fp64'"),
        ({"precision": np.float32}, "precision: got <class 'numpy.float32'>, wanted 'fp32'"),
    ],
)
def test_what_cannot_be_placed(arguments, message):
    arguments = {"batch": 2, **arguments}
    with pytest.raises(ValueError, match=message):
        nn.place(like_alexnet(), nn.devices("cpu"), **arguments)


def test_one_tower_does_not_go_on_two_devices():
    with pytest.raises(ValueError, match=r"net 'small' has 1 tower\(s\) and cannot be placed on 2 devices"):
        nn.place(nn.Net([nn.FullyConnected(3)], (1, 2, 2), name="small"), nn.devices("cpu,cpu"), 2)


def test_what_cannot_be_fed():
    net = like_alexnet()
    graph = placed(net, "cpu")
    x, labels = batch(net, 0)
    with pytest.raises(ValueError, match=r"got a batch of shape \[3, 13, 11, 5\], wanted \[3, 13, 11, 6\]"):
        graph.feed_array(x[..., :5], labels)
    with pytest.raises(ValueError, match=r"got labels of shape \[5\], wanted \[6\]"):
        graph.feed_array(x, labels[:5])
    with pytest.raises(ValueError, match="got label 6, wanted -1 to 5"):
        graph.feed_array(x, np.full(BATCH, 6, np.int32))
    with pytest.raises(ValueError, match="'data' has no gradient"):
        graph.input_gradient()
    with pytest.raises(ValueError, match="has no layer 'conv9'; there are conv1, relu1"):
        graph.activation("conv9")
