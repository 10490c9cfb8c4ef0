"""bfloat16: what is rounded and what is not, what crosses, and how far the results are from float32's."""

import ml_dtypes
import numpy as np
import pytest
from nets import BATCH, batch, integers, like_alexnet, placed, rates

from alexnet_cuda import data, nn
from alexnet_cuda.nn.presets import PRESETS

BF16 = np.dtype(ml_dtypes.bfloat16)
FP32 = np.dtype(np.float32)
UNIT = 2.0**-8  # the largest relative error of rounding to bfloat16, which has 8 significant bits
BOTH = ("cpu", "cpu,cpu")


def towers_of(net):
    return BOTH if net.towers == 2 else ("cpu",)


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_bfloat16_in_every_preset(name):
    net = nn.preset(name)
    for devices in towers_of(net):
        graph = nn.place(net, nn.devices(devices), 1, precision="bf16")  # memory that nothing touches costs nothing
        for pieces in graph.slices.values():
            for piece in pieces:
                assert piece.value.dtype == piece.momentum.dtype == piece.gradient.dtype == FP32
        for part in (part for parts in graph.parts[:-1] for part in parts):
            kinds = {short: array.dtype for short, array in part.parameters.items()}
            assert kinds in ({}, {"w": BF16, "b": FP32})
            assert part.dy is None or part.dy.dtype == BF16
        loss = graph.parts[-1][0]
        assert (loss.x.dtype, loss.dx.dtype, loss.kept["loss"].dtype) == (FP32, BF16, FP32)
        last = net.layers[-2].name
        activations = {t.name: {piece[2].dtype for piece in t.pieces} for t in graph.tensors.values()}
        assert activations == {tensor: {FP32 if tensor == last else BF16} for tensor in activations}


@pytest.mark.parametrize("name", ["alexnet_mini", "lenet5"])
def test_a_step_of_a_preset(name):
    net = nn.preset(name)
    for devices in towers_of(net):
        graph = nn.place(net, nn.devices(devices), 4, precision="bf16")
        before = net.initial(0)
        graph.set_weights(before)
        graph.feed_array(np.random.default_rng(0).standard_normal((*net.input_shape, 4)), np.arange(4, dtype=np.int32))
        graph.train_step(0, rates(net, 0.01), 0.9)
        assert np.isfinite(graph.result().loss)
        assert graph.first_non_finite() is None
        assert all(not np.array_equal(after, before[name]) for name, after in graph.weights().items())


def test_masters_keep_what_their_copies_round_away():
    """Updates below half a digit of bfloat16 add up in the master, and move the copy when they are enough."""
    net = like_alexnet()
    graph = placed(net, "cpu,cpu", dtype=BF16)
    pieces = [piece for name in net.parameters for piece in graph.slices[name] if piece.copy is not None]
    assert len(pieces) == 2 * 7

    def copies():
        assert all(np.array_equal(piece.copy, piece.value.astype(BF16)) for piece in pieces)
        return [piece.copy.copy() for piece in pieces]

    np.testing.assert_array_equal(graph.weights()["conv2.w"], net.initial(3)["conv2.w"])  # not rounded
    before = copies()
    still = []
    for step in range(8):
        masters = graph.weights()
        graph.feed_array(*batch(net, 0))
        graph.train_step(step, rates(net, 1e-4), 0.9)
        assert all(not np.array_equal(masters[name], value) for name, value in graph.weights().items())
        still.append(sum(np.count_nonzero(a == b) for a, b in zip(before, copies(), strict=True)))
    assert still[0] > 0.9 * sum(copy.size for copy in before)
    assert still[-1] < still[0]


def test_given_momenta_leave_the_copies_alone():
    net = like_alexnet()
    graph = placed(net, "cpu", dtype=BF16)
    values = net.initial(3)
    graph.set_momenta({name: value + 1 for name, value in values.items()})
    for name, (piece,) in graph.slices.items():
        np.testing.assert_array_equal(piece.momentum, values[name] + 1)
        assert piece.copy is None or np.array_equal(piece.copy, values[name].astype(BF16))


def run_integers(devices, dtype, largest, slope=1, width=1, images=BATCH):
    """A graph of `integers` after forward and backward on whole numbers from -largest to largest; slope: times that for
    the gradient it goes back from."""
    net, rng = integers(width), np.random.default_rng(0)

    def draw(*shape):
        return rng.integers(-largest, largest + 1, shape).astype(np.float32)

    graph = placed(net, devices, dtype=dtype, images=images)
    graph.set_weights({name: draw(*p.shape) for name, p in net.parameters.items()})
    graph.feed_array(draw(*net.input_shape, images), np.zeros(images, np.int32))
    graph.differentiate(dlogits=draw(net.classes, images) * slope)
    return graph


def test_numbers_that_bfloat16_holds_come_out_exactly():
    """Up to 256 every whole number is one of bfloat16's."""
    exact = run_integers("cpu", FP32, 1)
    for devices in (*BOTH, "reference", "reference,reference"):
        graph = run_integers(devices, BF16, 1)
        for name in [place.layer.name for place in graph.net.places[:-1]]:
            for got, wanted in (
                (graph.activation(name), exact.activation(name)), (graph.gradient(name), exact.gradient(name)),
            ):  # fmt: skip
                assert 0 < np.abs(wanted).max() <= 256, name
                np.testing.assert_array_equal(got, wanted)
        for name, gradient in graph.gradients().items():
            np.testing.assert_array_equal(gradient, exact.gradients()[name])


def test_two_devices_are_one_device_where_no_sum_crosses():
    """Larger whole numbers: sums are exact in float32 in any order, and what is stored is rounded, in both alike."""
    one = run_integers("cpu", BF16, 6, 41)
    for devices in ("cpu,cpu", "reference", "reference,reference"):
        two = run_integers(devices, BF16, 6, 41)
        for name in [place.layer.name for place in one.net.places[:-1]]:
            assert np.abs(one.activation(name)).max() < 2**24
            np.testing.assert_array_equal(two.activation(name), one.activation(name))
        for name in ("fc4", "relu3", "fc3"):  # above the first sum that crosses
            np.testing.assert_array_equal(two.gradient(name), one.gradient(name))
        for name in ("fc4.w", "fc4.b", "fc3.w", "fc3.b"):
            assert np.abs(one.gradients()[name]).max() < 2**24
            np.testing.assert_array_equal(two.gradients()[name], one.gradients()[name])
    exact = run_integers("cpu", FP32, 6, 41)
    assert not np.array_equal(one.activation("conv2"), exact.activation("conv2"))  # something was rounded
    assert not np.array_equal(one.gradient("fc3"), exact.gradient("fc3"))


def test_a_sum_that_crosses_is_rounded_twice_more():
    """The gradient before fc3, of which each tower has a share s. One device stores r(s0 + s1), two r(r(s0) + r(s1)),
    with an error of UNIT in each rounding r."""
    one, two = run_integers("cpu", BF16, 6, 41), run_integers("cpu,cpu", BF16, 6, 41)
    w = one.weights()["fc3.w"].astype(np.float64)
    dy = one.gradient("fc3").astype(np.float64)
    half = len(dy) // 2
    first, second = w[:, :half] @ dy[:half], w[:, half:] @ dy[half:]
    total = first + second
    shape = one.gradient("pool2").shape
    error_of_one = (UNIT * np.abs(total)).reshape(shape)
    shares = UNIT * (np.abs(first) + np.abs(second))
    error_of_two = (shares + UNIT * (np.abs(total) + shares)).reshape(shape)
    difference_of_one = np.abs(one.gradient("pool2") - total.reshape(shape))
    difference_of_two = np.abs(two.gradient("pool2") - total.reshape(shape))
    assert 0 < np.abs(total).max() < 2**24
    assert (difference_of_one <= error_of_one).all()
    assert (difference_of_two <= error_of_two).all()
    assert (difference_of_two > error_of_one).any()  # what the shares' own rounding costs


def test_layers_that_see_their_own_tower_may_end_a_net():
    """Groups cannot leave their sums; then logits are rounded, on two devices as on one."""
    layers = [nn.FullyConnected(8), nn.ReLU(), nn.FullyConnected(6, sees="own")]
    net = nn.Net(layers, (2, 3, 3), towers=2)
    graphs = [placed(net, devices, dtype=BF16) for devices in BOTH]
    x, labels = batch(net, 0)
    for graph in graphs:
        graph.feed_array(x, labels)
        graph.train_step(0, rates(net), 0.9)
        assert graph.logits().dtype == FP32
        assert {p[2].dtype for p in graph.tensors["fc2"].pieces} == {BF16}
        assert np.abs(graph.logits()).max() > 0
    np.testing.assert_allclose(graphs[1].logits(), graphs[0].logits(), rtol=2 * UNIT)


def test_logits_that_pass_through_another_layer_are_bfloat16():
    net = nn.Net([nn.FullyConnected(6), nn.Tanh()], (2, 3, 3))
    graph = placed(net, "cpu", dtype=BF16)
    graph.feed_array(*batch(net, 0))
    graph.train_step(0, rates(net), 0.9)
    assert {p[2].dtype for name in ("fc1", "tanh1") for p in graph.tensors[name].pieces} == {BF16}
    assert graph.first_non_finite() is None


def test_the_first_bad_layer_is_named():
    net = like_alexnet()
    graph = placed(net, "cpu,cpu", dtype=BF16)
    x, labels = batch(net, 0)
    graph.feed_array(np.where(x == x.max(), np.nan, x), labels)
    before = graph.weights()
    graph.train_step(0, rates(net), 0.9)
    assert graph.first_non_finite() == "activation of data"
    assert all(np.array_equal(before[name], value) for name, value in graph.weights().items())


class Counting(nn.HostDevice):
    """Counts the bytes it is asked for."""

    taken = 0

    def empty(self, shape, dtype):
        self.taken += int(np.prod(shape)) * np.dtype(dtype).itemsize
        return super().empty(shape, dtype)

    def zeros(self, shape, dtype):
        self.taken += int(np.prod(shape)) * np.dtype(dtype).itemsize
        return super().zeros(shape, dtype)


@pytest.mark.parametrize("count", [1, 2])
def test_the_memory_table(count):
    net = nn.preset("alexnet_mini")
    tables, logits = {}, 4 * net.classes * BATCH
    for precision in ("fp32", "bf16"):
        devices = [Counting() for _ in range(count)]
        graph = nn.place(net, devices, BATCH, precision=precision)
        tables[precision] = {kind: np.array(counts) for kind, counts in graph.memory.items()}
        totals = sum(tables[precision].values())
        # Besides: step state, and where the loss is, loss, two counts and labels.
        rest = np.array([3 * 4 + (4 + 8 + 4 * BATCH) * (position == 0) for position in range(count)])
        np.testing.assert_array_equal(totals + rest, [device.taken for device in devices])
        assert all(f"{total:,}" in graph.describe() for total in totals)
    fp32, bf16 = tables["fp32"], tables["bf16"]
    at_the_loss = np.arange(count) == 0  # logits stay float32
    np.testing.assert_array_equal(2 * bf16["activations"], fp32["activations"] + logits * at_the_loss)
    np.testing.assert_array_equal(2 * bf16["gradients of activations"], fp32["gradients of activations"])
    for kind in ("parameters", "momenta", "gradients of parameters", "kept for backward"):
        np.testing.assert_array_equal(bf16[kind], fp32[kind])
    weights = sum(p.size for name, p in net.initial(0).items() if name.endswith(".w"))
    assert bf16["copies of weights"].sum() == 2 * weights
    assert "copies of weights" not in fp32


STEPS, IMAGES = 12, 16


def losses_of_alexnet_mini(precision, devices, steps=STEPS):
    net, store = nn.preset("alexnet_mini"), data.sample()
    graph = nn.place(net, nn.devices(devices), IMAGES, mean=store.mean_image, precision=precision)
    graph.set_weights(net.initial(0))
    losses = []
    for step in range(steps):
        ids = np.arange(IMAGES) + step * IMAGES
        offsets = np.full((IMAGES, 2), step % 5, np.int32)
        graph.feed(store.train.take(ids), store.train.labels[ids], offsets, (ids % 2).astype(np.uint8))
        graph.train_step(step, rates(net, 0.003), 0.9)
        losses.append(graph.result().loss)
    return np.array(losses)


def test_alexnet_mini_follows_float32():
    """Eight layers with weights store rounded results forward and back: 16 errors of UNIT, if all had one sign, are the
    bound of a step; of many steps they have both signs, and their mean stays within one."""
    wanted = losses_of_alexnet_mini("fp32", "cpu")
    assert wanted[0] - wanted[-1] > 2 * 16 * UNIT * wanted[0]  # the step is small beside what was learned
    for devices in BOTH:
        losses = losses_of_alexnet_mini("bf16", devices)
        np.testing.assert_allclose(losses, wanted, rtol=16 * UNIT)
        assert losses.mean() == pytest.approx(wanted.mean(), rel=UNIT)
