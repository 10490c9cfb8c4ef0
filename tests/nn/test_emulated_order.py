"""Planted bugs in the two-tower schedule are found on emulated devices: a missing wait, a wrong device's memory."""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates

from alexnet_cuda import nn, ops
from alexnet_cuda.errors import DeviceError
from alexnet_cuda.ops import emulated

STEPS = 3
SCHEDULES = ("reverse", *(f"random:{seed}" for seed in range(8)))


def trained(change=None, schedule="forward", poisoned=False):
    """Weights and losses after a few steps and an evaluation; `change` may spoil the graph first. poisoned: from the
    second step on, pixels are no numbers and the update has to be left out on both towers."""
    net = like_alexnet(0)
    with emulated.schedule(schedule):
        graph = placed(net, "emulated:0,emulated:1", dtype=np.float32)
        if change:
            change(graph)
        losses = [np.empty((), np.float32) for _ in range(STEPS + 1)]
        part = graph.parts[-1][0]
        for step, loss in enumerate(losses):  # without waiting between them
            x, labels = batch(net, step)
            graph.feed_array(x * np.nan if poisoned and step else x, labels)
            if step < STEPS:
                graph.train_step(step, rates(net), 0.9)
            else:
                graph.evaluate()
            graph.device_of(part).download(part.kept["loss"], loss)
        return graph.weights(), losses


def same(first, second):
    equal = all(np.array_equal(first[0][name], second[0][name]) for name in first[0])
    return equal and np.array_equal(first[1], second[1], equal_nan=True)


def nodes_that_wait():
    graph = placed(like_alexnet(0), "emulated:0,emulated:1", dtype=np.float32)
    stages = ("forward_nodes", "backward_nodes")
    return [
        pytest.param(stage, position, node.label, id=node.label)
        for stage in stages
        for position, node in enumerate(getattr(graph, stage))
        if node.after
    ]


@pytest.fixture(scope="module")
def in_order():
    return {poisoned: trained(poisoned=poisoned) for poisoned in (False, True)}


@pytest.mark.parametrize("poisoned", [False, True])
def test_every_legal_order_gives_the_same_bits(in_order, poisoned):
    for schedule in SCHEDULES:
        assert same(in_order[poisoned], trained(None, schedule, poisoned)), schedule


@pytest.mark.parametrize(("stage", "position", "label"), nodes_that_wait())
def test_a_missing_wait_gives_wrong_bits_in_some_order(in_order, stage, position, label):
    def forget(graph):
        getattr(graph, stage)[position].after = ()

    poisoned = label == "verdict from host"  # a verdict that comes late shows only when it is a bad one
    assert any(not same(in_order[poisoned], trained(forget, schedule, poisoned)) for schedule in SCHEDULES)


def test_a_kernel_with_the_other_towers_buffer():
    def confuse(graph):
        first, second = graph.parts[1]
        first.y = second.y

    with pytest.raises(DeviceError, match=r"argument \d points to the float32 array .* of emulated:1, and the kernel"):
        trained(confuse)


def test_an_update_with_the_other_towers_gradient():
    def confuse(graph):
        first, second = graph.parts[0]
        first.gradients["w"] = second.gradients["w"]

    says = r"argument \d points to the float32 array \[3, 3, 3, 4\] of emulated:1, and the kernel runs on emulated:0"
    with pytest.raises(RuntimeError, match=says):
        trained(confuse)


def test_a_kernel_with_memory_of_the_host():
    """Seen where a pointer is an argument by itself; in a struct, any word might be one."""

    def confuse(graph):
        part = graph.parts[1][1]
        part.y = np.zeros(part.y.shape, np.float32)

    with pytest.raises(DeviceError, match="memory that no device owns, and the kernel runs on emulated:1"):
        trained(confuse)


def test_devices_go_on_after_a_mistake(in_order):
    devices = nn.devices("emulated:0,emulated:1")
    x = [device.zeros((3,), np.float32) for device in devices]
    devices[0].submit(lambda: ops.relu(x[1], out=x[0]))
    with pytest.raises(DeviceError, match="of emulated:1"):
        devices[0].synchronize()
    assert same(in_order[False], trained())
