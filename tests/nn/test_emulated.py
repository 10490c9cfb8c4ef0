"""The CUDA kernels train the two towers on a CPU: ten steps on two emulated devices follow the CPU backend."""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates
from test_towers import compare

from alexnet_cuda import data, nn

STEPS, IMAGES = 10, 8


def trained(devices):
    """alexnet_mini after ten small steps on the embedded images: losses, weights, and the graph."""
    net, store = nn.preset("alexnet_mini"), data.sample()
    graph = nn.place(net, nn.devices(devices), IMAGES, mean=store.mean_image)
    graph.set_weights(net.initial(0))
    losses = []
    for step in range(STEPS):
        ids = np.arange(IMAGES) + step * IMAGES
        offsets = np.full((IMAGES, 2), step % 5, np.int32)
        graph.feed(store.train.take(ids), store.train.labels[ids], offsets, (ids % 2).astype(np.uint8))
        graph.train_step(step, rates(net, 0.01), 0.9)
        losses.append(graph.result().loss)
    return losses, graph.weights(), graph


@pytest.mark.parametrize("devices", ["emulated:0", "emulated:0,emulated:1"])
def test_ten_steps_of_alexnet_mini(devices):
    wanted, weights, _ = trained("cpu")
    losses, got, graph = trained(devices)
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    assert max(losses) - min(losses) > 0.1  # something was learned, or at least changed
    for name, value in weights.items():
        assert np.abs(got[name] - value).max() <= 1e-4 * np.abs(value).max(), name
    assert sum(map(sum, (device.copies for device in graph.devices))) == STEPS * sum(t.bytes for t in graph.transfers)


def test_every_kind_of_layer():
    net = like_alexnet(0)
    x, labels = batch(net, 0)
    graphs = [placed(net, devices, dtype=np.float32) for devices in ("cpu", "emulated:0,emulated:1")]
    for graph in graphs:
        graph.feed_array(x, labels)
        graph.train_step(0, rates(net), 0.9)
    compare(*graphs, 1e-4)
