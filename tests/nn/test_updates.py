"""Updates along with their gradients: which layers do it, that it changes no bit, and what it leaves alone."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from lazy import LazyDevice, World
from nets import LARGE, batch, like_alexnet, placed, rates

from alexnet_cuda import nn, ops
from alexnet_cuda.nn.weighted import Weighted
from alexnet_cuda.ops import backends, emulated

BF16 = np.dtype(ml_dtypes.bfloat16)
FP32 = np.dtype(np.float32)
IMAGES = 16  # a multiple of 8, which the tensor cores ask for
STEPS = 3
TWO = "emulated:0,emulated:1"
# In like_alexnet: the tensor cores take 8 outputs and multiples of it, not the 6 classes and not 6 of fc6's 12.
TAKEN = {
    "emulated:0": {"conv1", "conv2", "conv3", "conv4", "fc5", "fc6"},
    TWO: {"conv1", "conv2", "conv3", "conv4", "fc5"},
}
WEIGHTED = TAKEN["emulated:0"] | {"fc7"}


def fused(graph):
    """Layers whose updates come with their gradients, which `describe` must name."""
    names = {part.layer.name for parts in graph.parts for part in parts if part.fused_update}
    lines = [line.split()[0] for line in graph.describe().splitlines() if line.endswith(", updates with its gradient")]
    assert set(lines) == names
    return names


def placed_in_bf16(devices, net=None, **options):
    return placed(net or like_alexnet(0), devices, **{"dtype": BF16, "images": IMAGES, **options})


def trained(devices, change=None, rates_of=rates, poisoned=False, **options):
    """Bytes of weights, momenta and losses after some steps without waiting between them; `change` may spoil the graph
    first. poisoned: from the second step on, pixels are no numbers."""
    net = like_alexnet(0)
    graph = placed_in_bf16(devices, net, **options)
    if change:
        change(graph)
    losses = [np.empty((), graph.precision.master) for _ in range(STEPS)]
    part = graph.parts[-1][0]
    for step, loss in enumerate(losses):
        x, labels = batch(net, step, IMAGES)
        graph.feed_array(x * np.nan if poisoned and step else x, labels)
        graph.train_step(step, rates_of(net), 0.9)
        graph.device_of(part).download(part.kept["loss"], loss)
    values = [*graph.weights().items(), *graph.momenta().items(), *enumerate(losses)]
    return [(name, value.tobytes()) for name, value in values]


class TestWhichLayers:
    @pytest.mark.parametrize("devices", TAKEN)
    def test_those_that_the_tensor_cores_take(self, devices):
        assert fused(placed_in_bf16(devices)) == TAKEN[devices]

    @pytest.mark.parametrize(
        "devices, options", [(TWO, {"dtype": FP32}), (TWO, {"images": 6}), ("cpu", {}), ("cpu,cpu", {"dtype": FP32})]
    )
    def test_none_where_nothing_is_saved(self, devices, options):
        assert fused(placed_in_bf16(devices, **options)) == set()

    def test_none_on_another_gpu(self, monkeypatch):
        monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "80")
        assert fused(placed_in_bf16(TWO)) == set()

    @pytest.mark.parametrize("devices", ["cpu", "emulated:0", TWO])
    def test_all_or_none_when_asked(self, devices):
        assert fused(placed_in_bf16(devices, fuse_updates=True)) == WEIGHTED
        assert fused(placed_in_bf16(devices, fuse_updates=False)) == set()

    def test_none_without_gradients(self):
        graph = placed_in_bf16("emulated:0", training=False)
        assert fused(graph) == set() and not graph.backward_nodes

    def test_none_that_goes_back_in_its_own_way(self):
        @dataclasses.dataclass(frozen=True)
        class Backward(nn.Conv):
            def backward(self, part, training):
                super().backward(part, training)

        @dataclasses.dataclass(frozen=True)
        class NoUpdate(nn.Conv):
            update = Weighted.update

        for layer in (Backward, NoUpdate):
            net = nn.Net([layer(8, 3), nn.FullyConnected(8)], (3, 6, 6))
            assert fused(placed_in_bf16("cpu", net, fuse_updates=True)) == {"fc2"}
            assert fused(placed_in_bf16("emulated:0", net)) == {"fc2"}


@pytest.fixture(scope="module")
def in_turn():
    return {
        (devices, poisoned): trained(devices, fuse_updates=False, poisoned=poisoned)
        for devices in TAKEN
        for poisoned in (False, True)
    }


class TestBits:
    @pytest.mark.parametrize("poisoned", [False, True])
    @pytest.mark.parametrize("schedule", ("forward", "reverse", "random:0", "random:1", "random:2"))
    @pytest.mark.parametrize("devices", TAKEN)
    def test_are_those_of_gradient_and_update_in_any_order(self, in_turn, devices, schedule, poisoned):
        with emulated.schedule(schedule):
            assert trained(devices, poisoned=poisoned) == in_turn[devices, poisoned]

    def test_do_not_depend_on_what_the_tensor_cores_take(self, in_turn):
        assert trained(TWO, fuse_updates=True) == in_turn[TWO, False]

    @pytest.mark.parametrize("dtype", (FP32, BF16))
    @pytest.mark.parametrize("devices", ("cpu", "cpu,cpu"))
    def test_on_numpy(self, devices, dtype):
        assert trained(devices, fuse_updates=True, dtype=dtype) == trained(devices, fuse_updates=False, dtype=dtype)

    def test_on_late_streams(self):
        wanted = trained("cpu,cpu", fuse_updates=False)
        for seed in range(4):
            world = World(seed)
            devices = [LazyDevice(world, "late:0"), LazyDevice(world, "late:1")]
            assert trained(devices, fuse_updates=True) == wanted

    def test_the_input_gradient_comes_first(self, in_turn):
        """It reads the copies that the update changes."""

        def confuse(graph):
            nodes = graph.backward_nodes
            first = next(i for i, node in enumerate(nodes) if node.label == "conv2 input gradient")
            assert nodes[first + 1].label == "conv2 gradients and updates"
            assert nodes[first].device is nodes[first + 1].device
            nodes[first : first + 2] = reversed(nodes[first : first + 2])

        assert trained(TWO, confuse) != in_turn[TWO, False]


class TestWhatIsLeft:
    @pytest.mark.parametrize("devices", TAKEN)
    def test_gradients_when_they_are_asked_for(self, devices):
        net = like_alexnet(0)
        graphs = [placed_in_bf16(devices, net, fuse_updates=wanted) for wanted in (None, False)]
        for graph in graphs:
            graph.feed_array(*batch(net, 0, IMAGES))
            graph.train_step(0, rates(net), 0.9)  # after which the gradients of the first are anything
            graph.differentiate(training=True, step=1)
        one, two = (graph.gradients() for graph in graphs)
        for name, gradient in one.items():
            assert gradient.any()
            np.testing.assert_array_equal(gradient, two[name])
        before = graphs[0].weights()
        graphs[0].differentiate()
        assert all(np.array_equal(before[name], value) for name, value in graphs[0].weights().items())

    @pytest.mark.parametrize("frozen", [("conv2.w",), ("conv2.b",), ("conv2.w", "conv2.b"), ("fc5.b", "fc6.w")])
    def test_parameters_with_a_rate_of_zero(self, frozen):
        def some(net):
            return rates(net) | dict.fromkeys(frozen, nn.Rate(0.0, 0.5))

        results = dict(trained("emulated:0", rates_of=some)[: len(like_alexnet(0).parameters)])
        for name, value in like_alexnet(0).initial(3).items():
            assert (results[name] == value.tobytes()) == (name in frozen), name
        assert trained("emulated:0", rates_of=some) == trained("emulated:0", rates_of=some, fuse_updates=False)

    def test_nothing_is_computed_for_a_frozen_layer(self, monkeypatch):
        net = nn.Net([nn.Conv(8, 3, init=LARGE), nn.ReLU(), nn.FullyConnected(8, init=LARGE)], (3, 6, 6))
        called = []

        def noting(name, op, implementation=backends.implementation):
            called.append(op)
            return implementation(name, op)

        monkeypatch.setattr(backends, "implementation", noting)
        graph = placed_in_bf16("emulated:0", net)
        graph.feed_array(*batch(net, 0, IMAGES))
        graph.train_step(0, rates(net), 0.9)
        assert [op for op in called if op.endswith("_sgd")] == ["gemm_sgd", "conv2d_wgrad_sgd"]
        called.clear()
        graph.train_step(1, rates(net) | {"conv1.w": nn.Rate(0.0), "conv1.b": nn.Rate(0.0)}, 0.9)
        assert [op for op in called if "sgd" in op or "grad" in op] == ["gemm_sgd", "bias_grad", "sgd_momentum"]


def test_a_gradient_is_not_written():
    """Neither into the graph's memory nor into a workspace, which is not there."""
    net = nn.Net([nn.FullyConnected(16, init=LARGE), nn.ReLU(), nn.FullyConnected(8, init=LARGE)], (2, 4, 4))
    graph = placed_in_bf16("emulated:0", net)
    asked = {"dtype": BF16, "backend": "emulated"}
    for name, outputs, inputs in (("fc1", 16, 32), ("fc2", 8, 16)):
        shapes = ((inputs, IMAGES), (outputs, IMAGES), (inputs, outputs))
        assert ops.workspace_bytes("gemm_sgd", *shapes, **asked) == 0
        (piece,) = graph.slices[f"{name}.w"]
        piece.gradient[...] = 7
    graph.feed_array(*batch(net, 0, IMAGES))
    graph.train_step(0, rates(net), 0.9)
    graph.synchronize()
    assert all((graph.slices[f"{name}.w"][0].gradient == 7).all() for name in ("fc1", "fc2"))
