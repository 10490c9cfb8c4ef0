"""Nets in bfloat16 on the kernels, emulated and on a GPU, against the CPU backend.

Images in eights, and maps and features of a tower too, so that products go to the tensor cores of Hopper.
"""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates
from test_precision import BF16, UNIT, losses_of_alexnet_mini, run_integers

from alexnet_cuda import config

IMAGES, WIDTH = 8, 4
ONE = ("emulated:0", pytest.param("cuda:0", marks=pytest.mark.gpu))
TWO = ("emulated:0,emulated:1", pytest.param("cuda:0,cuda:0", marks=pytest.mark.gpu))


def on_the_cpu(devices):
    """As many devices."""
    return "cpu,cpu" if "," in devices else "cpu"


def trained(devices, steps):
    net = like_alexnet(0, WIDTH)
    graph = placed(net, devices, dtype=BF16, images=IMAGES)
    for step in range(steps):
        graph.feed_array(*batch(net, step, IMAGES))
        graph.train_step(step, rates(net), 0.9)
    return graph


def choices(graph):
    """What an emulated Hopper GPU's launchers choose for the convolutions of a graph, forward."""
    module = config.load("_emulated")[0]
    for part in (part for parts in graph.parts for part in parts if part.layer.kind == "conv"):
        w, pad = part.parameters["w"].shape, (part.layer.pad,) * 2
        yield module.choose_conv_fprop(part.x.shape, w, part.y.shape, (1, 1), pad, part.groups, True, "bfloat16")


@pytest.mark.parametrize("devices", ("cpu", "cpu,cpu"))
def test_these_nets_are_for_tensor_cores(devices, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "90")
    for graph in (trained(devices, 0), run_integers(devices, BF16, 6, 41, WIDTH, IMAGES)):
        chosen = list(choices(graph))
        assert chosen and all(text.startswith("tensor cores: ") for text in chosen)


@pytest.mark.parametrize("devices", ONE + TWO)
def test_whole_numbers_have_the_bits_of_the_cpu(devices):
    """Sums are exact in any order, so every result is rounded alike; those that cross too."""
    graphs = [run_integers(where, BF16, 6, 41, WIDTH, IMAGES) for where in (on_the_cpu(devices), devices)]
    for name in [place.layer.name for place in graphs[0].net.places[:-1]]:
        np.testing.assert_array_equal(*(graph.activation(name) for graph in graphs))
        np.testing.assert_array_equal(*(graph.gradient(name) for graph in graphs))
    for name in graphs[0].slices:
        np.testing.assert_array_equal(*(graph.gradients()[name] for graph in graphs))


@pytest.mark.parametrize("devices", TWO)
def test_a_few_steps_of_alexnet_mini(devices):
    """Sums in another order fall to the other side of a rounding now and then: an error of UNIT in single numbers.
    Over a few steps the loss stays within one; over many, runs that differ at all part ways."""
    wanted = losses_of_alexnet_mini("bf16", "cpu,cpu", 4)
    losses = losses_of_alexnet_mini("bf16", devices, 4)
    np.testing.assert_allclose(losses, wanted, rtol=UNIT)
    assert max(losses) - min(losses) > 0.1


@pytest.mark.parametrize("devices", ONE + TWO)
def test_a_step_of_every_kind_of_layer(devices):
    """As above, a few numbers differ by UNIT, and where that changes which pixel is a maximum or which is above 0,
    single gradients are others. Of norms, then: within UNIT, as if every number were off by that."""
    wanted, graph = trained(on_the_cpu(devices), 1), trained(devices, 1)

    def agree(a, b, what):
        assert np.linalg.norm(a - b) <= UNIT * np.linalg.norm(a) > 0, what

    for name, tensor in wanted.tensors.items():
        agree(wanted.activation(name), graph.activation(name), name)
        if tensor.pieces[0][3] is not None:
            agree(wanted.gradient(name), graph.gradient(name), f"gradient of {name}")
    for name, momentum in wanted.momenta().items():  # the gradients, times the rate
        agree(momentum, graph.momenta()[name], f"momentum of {name}")
        agree(wanted.weights()[name], graph.weights()[name], name)


@pytest.mark.parametrize("devices", TWO)
def test_the_same_steps_give_the_same_bits(devices):
    first, second = (trained(devices, 2).weights() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("devices", TWO)
def test_updates_round_into_the_copies(devices):
    before, graph = trained(devices, 0).weights(), trained(devices, 2)
    after = graph.weights()
    for name, pieces in graph.slices.items():
        assert not np.array_equal(before[name], after[name])
        for piece in (piece for piece in pieces if piece.copy is not None):
            copy = np.empty(piece.copy.shape, BF16)
            piece.device.download(piece.copy, copy)
            piece.device.synchronize()
            np.testing.assert_array_equal(copy, after[name][..., piece.where].astype(BF16))
