"""Whole-net gradients against central differences of the loss, in float64."""

import numpy as np
import pytest
from nets import batch, like_alexnet, placed

EPSILON = 1e-6
SAMPLES = 6


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
@pytest.mark.parametrize("training", [True, False], ids=["with dropout", "without dropout"])
def test_every_parameter(devices, training):
    net = like_alexnet()
    graph = placed(net, devices)
    x, labels = batch(net, 7)
    graph.feed_array(x, labels)
    graph.differentiate(training=training, step=2)
    gradients = graph.gradients()
    values = {name: value.astype(np.float64) for name, value in net.initial(3).items()}
    rng = np.random.default_rng(1)
    compared = 0

    def loss_at(name, index, value):
        old, values[name][index] = values[name][index], value
        graph.set_weights(values)
        values[name][index] = old
        graph.evaluate(training=training, step=2)
        return graph.result().loss

    for name, gradient in gradients.items():
        for _ in range(SAMPLES):
            index = tuple(rng.integers(0, size) for size in gradient.shape)
            at = values[name][index]
            slope = (loss_at(name, index, at + EPSILON) - loss_at(name, index, at - EPSILON)) / (2 * EPSILON)
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-8), (name, index)
            compared += gradient[index] != 0
    assert compared > SAMPLES * len(gradients) // 2  # not all in dead units


def test_the_input_gradient():
    net = like_alexnet()
    graph = placed(net, "cpu,cpu", input_gradient=True)
    x, labels = batch(net, 7)
    graph.feed_array(x, labels)
    graph.differentiate()
    gradient = graph.input_gradient()
    assert gradient.shape == x.shape
    assert not gradient[..., -1].any()  # padding
    rng = np.random.default_rng(1)
    for _ in range(8):
        index = tuple(rng.integers(0, size) for size in (*x.shape[:3], x.shape[3] - 1))
        losses = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * EPSILON
            graph.feed_array(moved, labels)
            graph.evaluate()
            losses.append(graph.result().loss)
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / (2 * EPSILON), rel=1e-5, abs=1e-8)
