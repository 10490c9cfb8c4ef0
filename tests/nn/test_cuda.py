"""The same graphs on GPUs: one, one placed twice with and without peer copies, and two where there are two."""

import ml_dtypes
import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates
from test_towers import compare

from alexnet_cuda import config, nn

pytestmark = pytest.mark.gpu


def gpus():
    module, _ = config.load("_cuda")
    return int(module.device_status()[2])


def towers(kind):
    if kind == "two GPUs":
        if gpus() < 2:
            pytest.skip("one GPU")
        return nn.devices("cuda:0,cuda:1")
    return [nn.CudaDevice(0, peer=kind == "peer copies") for _ in range(2)]


def trained(graph, steps):
    for step in range(steps):
        graph.feed_array(*batch(graph.net, step, graph.batch))
        graph.train_step(step, rates(graph.net), 0.9)
    return graph


@pytest.mark.parametrize("kind", ["peer copies", "staged copies", "two GPUs"])
def test_two_towers_are_the_net_on_one_gpu(kind):
    net = like_alexnet(0)
    one = trained(placed(net, "cuda:0", dtype=np.float32), 1)
    two = trained(placed(net, towers(kind), dtype=np.float32), 1)
    compare(one, two, 1e-5)
    copies = [sum(device.copies) for device in two.devices]
    assert sum(copies) == sum(transfer.bytes for transfer in two.transfers)


@pytest.mark.parametrize("devices", ["cuda:0", "cuda:0,cuda:0"])
def test_a_gpu_follows_the_cpu(devices):
    net = like_alexnet()
    compare(trained(placed(net, "cpu", dtype=np.float32), 1), trained(placed(net, devices, dtype=np.float32), 1), 1e-4)


def test_the_same_steps_give_the_same_bits():
    net = like_alexnet(0)
    first, second = (trained(placed(net, "cuda:0,cuda:0", dtype=np.float32), 10).weights() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("devices", ["cuda:0", "cuda:0,cuda:0"])
def test_updates_along_with_gradients_change_no_bit(devices):
    """On a GPU whose tensor cores take both; by the plain operations in turn on others."""
    how = {"dtype": np.dtype(ml_dtypes.bfloat16), "images": 16}
    together, in_turn, chosen = (
        trained(placed(like_alexnet(0), devices, **how, fuse_updates=fused), 3) for fused in (True, False, None)
    )
    for graph in (together, chosen):
        for values, wanted in ((graph.weights(), in_turn.weights()), (graph.momenta(), in_turn.momenta())):
            assert all(np.array_equal(wanted[name], value) for name, value in values.items())


def test_a_loss_that_is_not_finite_changes_no_weight():
    net = like_alexnet()
    graph = trained(placed(net, "cuda:0,cuda:0", dtype=np.float32), 1)
    before = graph.weights()
    x, labels = batch(net, 1)
    x[0, 0, 0, 0] = np.nan  # of the first image: the last one is padding, whose loss does not count
    graph.feed_array(x, labels)
    graph.train_step(1, rates(net), 0.9)
    assert not np.isfinite(graph.result().loss)
    assert all(np.array_equal(before[name], value) for name, value in graph.weights().items())
