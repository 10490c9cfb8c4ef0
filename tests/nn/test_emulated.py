"""The CUDA kernels train the two towers on a CPU: ten steps on two emulated devices follow the CPU backend, with the
same bits in every order that the streams allow."""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates
from test_towers import compare

from alexnet_cuda import data, nn
from alexnet_cuda.ops import emulated

STEPS, IMAGES = 10, 8


def trained(devices):
    """alexnet_mini after ten small steps on the embedded images, with no wait between them: losses, weights, graph."""
    net, store = nn.preset("alexnet_mini"), data.sample()
    graph = nn.place(net, nn.devices(devices), IMAGES, mean=store.mean_image)
    graph.set_weights(net.initial(0))
    losses = [np.empty((), np.float32) for _ in range(STEPS)]
    last = graph.parts[-1][0]
    for step in range(STEPS):
        ids = np.arange(IMAGES) + step * IMAGES
        offsets = np.full((IMAGES, 2), step % 5, np.int32)
        graph.feed(store.train.take(ids), store.train.labels[ids], offsets, (ids % 2).astype(np.uint8))
        graph.train_step(step, rates(net, 0.01), 0.9)
        graph.device_of(last).download(last.kept["loss"], losses[step])
    return graph.weights(), losses, graph


@pytest.fixture(scope="module")
def on_the_cpu():
    return trained("cpu")


@pytest.fixture(scope="module")
def in_order():
    return trained("emulated:0,emulated:1")


def follows(result, wanted):
    weights, losses, graph = result
    np.testing.assert_allclose(losses, wanted[1], rtol=1e-4)
    assert max(losses) - min(losses) > 0.1  # something was learned, or at least changed
    for name, value in wanted[0].items():
        assert np.abs(weights[name] - value).max() <= 1e-4 * np.abs(value).max(), name
    assert sum(map(sum, (device.copies for device in graph.devices))) == STEPS * sum(t.bytes for t in graph.transfers)


def test_ten_steps_of_alexnet_mini_on_one_device(on_the_cpu):
    follows(trained("emulated:0"), on_the_cpu)


def test_ten_steps_of_alexnet_mini_on_two_devices(on_the_cpu, in_order):
    follows(in_order, on_the_cpu)


@pytest.mark.parametrize("schedule", ["reverse", "random:1"])
def test_ten_steps_have_the_same_bits_in_any_order(in_order, schedule):
    with emulated.schedule(schedule):
        weights, losses, _ = trained("emulated:0,emulated:1")
    assert losses == in_order[1]
    for name, value in in_order[0].items():
        np.testing.assert_array_equal(weights[name], value)


@pytest.mark.parametrize("devices", ["emulated:0,emulated:1", "emulated:0,emulated:0", "emulated:0"])
def test_every_kind_of_layer(devices):
    net = like_alexnet(0)
    x, labels = batch(net, 0)
    graphs = [placed(net, names, dtype=np.float32) for names in ("cpu", devices)]
    for graph in graphs:
        graph.feed_array(x, labels)
        graph.train_step(0, rates(net), 0.9)
    compare(*graphs, 1e-4)
