"""Two devices against one: every activation, gradient and weight; and what crosses between them."""

import numpy as np
import pytest
from nets import BATCH, batch, integers, like_alexnet, placed, rates

from alexnet_cuda import nn

STATES = ("weights", "momenta", "gradients")


def compare(one, two, bound):
    """Every tensor and parameter of two graphs, each within `bound` of its largest value."""
    for name, tensor in one.tensors.items():
        wanted = [one.activation(name)]
        got = [two.activation(name)]
        if tensor.pieces[0][3] is not None:
            wanted.append(one.gradient(name))
            got.append(two.gradient(name))
        for a, b in zip(wanted, got, strict=True):
            assert np.isfinite(a).all() and np.abs(a - b).max() <= bound * np.abs(a).max(), name
    for state in STATES:
        wanted, got = getattr(one, state)(), getattr(two, state)()
        for name in wanted:
            scale = np.abs(wanted[name]).max()
            assert scale > 0 and np.abs(wanted[name] - got[name]).max() <= bound * scale, (state, name)


@pytest.mark.parametrize("on", [None, 0, 1], ids=lambda on: f"last layer on {on}")
@pytest.mark.parametrize("fuse", [True, False])
def test_two_devices_are_one_device_in_float64_over_five_steps(on, fuse):
    net = like_alexnet(on)
    one = placed(net, "cpu", input_gradient=True, fuse=fuse)
    two = placed(net, "cpu,cpu", input_gradient=True)
    for step in range(5):
        x, labels = batch(net, step)
        for graph in (one, two):
            graph.feed_array(x, labels)
            graph.train_step(step, rates(net), 0.9)
        assert one.result().correct == two.result().correct
        assert one.result().images == BATCH - 1
        assert one.result().loss == pytest.approx(two.result().loss, rel=1e-12)
        compare(one, two, 1e-10)


def test_two_devices_are_one_device_in_float32_for_a_step():
    net = like_alexnet()
    graphs = [placed(net, devices, dtype=np.float32) for devices in ("cpu", "cpu,cpu")]
    x, labels = batch(net, 0)
    for graph in graphs:
        graph.feed_array(x, labels)
        graph.train_step(0, rates(net), 0.9)
    compare(*graphs, 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integer_nets_agree_exactly(dtype):
    net = integers()
    rng = np.random.default_rng(0)
    values = {name: rng.integers(-2, 3, p.shape).astype(np.float32) for name, p in net.parameters.items()}
    x = rng.integers(-2, 3, (*net.input_shape, BATCH))
    dlogits = rng.integers(-2, 3, (net.classes, BATCH))
    graphs = [placed(net, devices, dtype=dtype) for devices in ("cpu", "cpu,cpu", "reference", "reference,reference")]
    for graph in graphs:
        graph.set_weights(values)
        graph.feed_array(x, np.zeros(BATCH, np.int32))
        graph.differentiate(dlogits=dlogits)
    for graph in graphs[1:]:
        for name in [place.layer.name for place in net.places[:-1]]:
            np.testing.assert_array_equal(graphs[0].activation(name), graph.activation(name))
            np.testing.assert_array_equal(graphs[0].gradient(name), graph.gradient(name))
        for name, gradient in graph.gradients().items():
            assert np.abs(gradient).max() < 2**24  # sums that float32 holds
            np.testing.assert_array_equal(graphs[0].gradients()[name], gradient)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.MaxPool(2, 2), nn.FullyConnected(6, on=1), nn.FullyConnected(4)],
        [nn.LRN(3), nn.Conv(4, 3, on=0), nn.ReLU(), nn.FullyConnected(4)],
        [nn.AvgPool(2, 2), nn.Conv(4, 3), nn.FullyConnected(4)],
    ],
    ids=["pool, then tower 1", "norm, then tower 0", "pool, then both"],
)
def test_layers_before_the_first_weights_are_in_both_towers(layers):
    net = nn.Net(layers, (2, 9, 8), towers=2)
    graphs = [placed(net, devices, input_gradient=True) for devices in ("cpu", "cpu,cpu")]
    x, labels = batch(net, 0)
    for graph in graphs:
        graph.feed_array(x, labels)
        graph.train_step(0, rates(net), 0.9)
    compare(*graphs, 1e-10)


def alexnet_transfers(batch_size, itemsize):
    """Bytes of the tensors that cross in the net of 2012, from their shapes: one half each way."""
    features = {"pool2": 256 * 13 * 13, "pool5": 256 * 6 * 6, "fc6": 4096, "fc7": 4096}
    return {name: count // 2 * batch_size * itemsize for name, count in features.items()}


@pytest.mark.parametrize(("precision", "itemsize"), [("fp32", 4), ("bf16", 2)])
def test_only_pool2_pool5_fc6_and_fc7_cross_in_the_net_of_2012(precision, itemsize):
    net = nn.preset("alexnet_2012")
    graph = nn.place(net, nn.devices("cpu,cpu"), 2, precision=precision)
    half = alexnet_transfers(2, itemsize)
    listed = {}
    for transfer in graph.transfers:
        listed.setdefault(transfer.tensor, []).append((transfer.bytes, transfer.source[6:7], transfer.target[6:7]))
    both = {name: [(half[name], "1", "0"), (half[name], "0", "1")] for name in ("pool2", "pool5", "fc6")}
    wanted = both | {f"gradient of {name}": crossing for name, crossing in both.items()}
    wanted["fc7"] = [(half["fc7"], "1", "0")]  # fc8 is on tower 0: it is sent there, and half its gradient back
    wanted["gradient of fc7"] = [(half["fc7"], "0", "1")]
    assert listed == wanted
    total = 4 * (half["pool2"] + half["pool5"] + half["fc6"]) + 2 * half["fc7"]
    assert f"{total:,}" in graph.describe()
    assert sum(t.bytes for t in graph.transfers) == total


def test_nothing_crosses_that_the_table_does_not_list():
    """Host devices count their copies."""
    net = like_alexnet(0)
    graph = placed(net, "cpu,cpu")
    for step in range(3):
        graph.feed_array(*batch(net, step))
        graph.train_step(step, rates(net), 0.9)
    for position, device in enumerate(graph.devices):
        into = [t.bytes for t in graph.transfers if t.target.startswith(f"tower {position}")]
        assert sorted(device.copies) == sorted(into * 3)
    assert placed(net, "cpu").transfers == []


def test_evaluation_crosses_forward_only():
    net = like_alexnet()
    graph = placed(net, "cpu,cpu")
    graph.feed_array(*batch(net, 0))
    graph.evaluate()
    forward = [t.bytes for t in graph.transfers if not t.tensor.startswith("gradient")]
    assert sorted(graph.devices[0].copies + graph.devices[1].copies) == sorted(forward)


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_images_reach_both_towers_cut_and_without_the_mean(devices):
    net = like_alexnet()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, 16, 16, 3), np.uint8)
    mean = rng.uniform(0, 255, (16, 16, 3)).astype(np.float32)
    offsets = rng.integers(0, 4, (BATCH, 2)).astype(np.int32)
    flips = rng.integers(0, 2, BATCH).astype(np.uint8)
    shift = rng.standard_normal((BATCH, 3)).astype(np.float32)
    graph = placed(net, devices, mean=mean)
    graph.feed(images, np.zeros(BATCH, np.int32), offsets, flips, shift)
    graph.evaluate()
    centre = mean[1:14, 2:13]
    for n in range(BATCH):
        y, x = offsets[n]
        crop = images[n, y : y + 13, x : x + 11].astype(np.float64)
        crop = (crop[:, ::-1] if flips[n] else crop) + shift[n] - centre
        crop *= net.recipe.pixel_scale
        for _, array in graph.inputs:
            np.testing.assert_allclose(array[..., n], crop.transpose(2, 0, 1), atol=1e-5)
