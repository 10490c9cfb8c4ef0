"""Nets in bfloat16 on the emulated kernels, against the CPU backend."""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed, rates
from test_precision import BF16, UNIT, losses_of_alexnet_mini, run_integers


@pytest.mark.parametrize(
    ("wanted", "devices"), [("cpu", "emulated:0"), ("cpu,cpu", "emulated:0,emulated:1")], ids=["one", "two"]
)
def test_whole_numbers_have_the_bits_of_the_cpu(wanted, devices):
    """Sums are exact in any order, so every result is rounded alike; those that cross too."""
    graphs = [run_integers(where, BF16, 6, 41) for where in (wanted, devices)]
    for name in [place.layer.name for place in graphs[0].net.places[:-1]]:
        np.testing.assert_array_equal(*(graph.activation(name) for graph in graphs))
        np.testing.assert_array_equal(*(graph.gradient(name) for graph in graphs))
    for name in graphs[0].slices:
        np.testing.assert_array_equal(*(graph.gradients()[name] for graph in graphs))


def test_a_few_steps_of_alexnet_mini():
    """Sums in another order fall to the other side of a rounding now and then: an error of UNIT in single numbers.
    Over a few steps the loss stays within one; over many, runs that differ at all part ways."""
    wanted = losses_of_alexnet_mini("bf16", "cpu,cpu", 4)
    losses = losses_of_alexnet_mini("bf16", "emulated:0,emulated:1", 4)
    np.testing.assert_allclose(losses, wanted, rtol=UNIT)
    assert max(losses) - min(losses) > 0.1


def test_updates_round_into_the_copies():
    net = like_alexnet(0)
    graph = placed(net, "emulated:0,emulated:1", dtype=BF16)
    before = graph.weights()
    for step in range(2):
        graph.feed_array(*batch(net, step))
        graph.train_step(step, rates(net), 0.9)
    after = graph.weights()
    for name, pieces in graph.slices.items():
        assert not np.array_equal(before[name], after[name])
        for piece in (piece for piece in pieces if piece.copy is not None):
            copy = np.empty(piece.copy.shape, BF16)
            piece.device.download(piece.copy, copy)
            piece.device.synchronize()
            np.testing.assert_array_equal(copy, after[name][..., piece.where].astype(BF16))
