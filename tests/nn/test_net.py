"""Nets as data: shapes, names, towers, parameters, JSON, and what is said about nets that cannot be."""

import json

import numpy as np
import pytest

from alexnet_cuda.nn import init
from alexnet_cuda.nn.layers import (
    LRN,
    AvgPool,
    Conv,
    Dropout,
    FullyConnected,
    LRNWithinChannel,
    MaxPool,
    ReLU,
    Sigmoid,
    SoftmaxLoss,
    Tanh,
)
from alexnet_cuda.nn.net import SPLIT, WHOLE, Net
from alexnet_cuda.nn.recipe import Augmentation, Constant, Dexp, Drop, Plateau, Recipe, Steps

IMAGE = (3, 8, 8)
END = FullyConnected(2)


def names(*layers) -> list[str]:
    return [layer.name for layer in Net(layers, IMAGE).layers]


def test_names_follow_the_last_layer_with_weights():
    assert names(Conv(4, 3), ReLU(), LRN(), MaxPool(), FullyConnected(4), Tanh(), Dropout(), END) == [
        "conv1", "relu1", "norm1", "pool1", "fc2", "tanh2", "drop2", "fc3", "loss",
    ]  # fmt: skip
    assert names(Dropout(), END, ReLU(), ReLU())[:4] == ["drop0", "fc1", "relu1", "relu1b"]
    assert names(Conv(4, 1, name="squeeze"), ReLU(), ReLU(name="relu1"), END)[:3] == ["squeeze", "relu1b", "relu1"]


def test_the_loss_is_added_once():
    assert names(END) == ["fc1", "loss"]
    assert names(END, SoftmaxLoss()) == ["fc1", "loss"]
    assert names(END, SoftmaxLoss(name="cost")) == ["fc1", "cost"]


@pytest.mark.parametrize(
    "layer, output",
    [
        (Conv(4, 3), (4, 6, 6)),
        (Conv(4, 3, stride=2), (4, 3, 3)),
        (Conv(4, 3, stride=2, ceil_mode=True), (4, 4, 4)),
        (Conv(4, (1, 5), pad=(0, 2)), (4, 8, 8)),
        (Conv(4, 5, stride=3, pad="same"), (4, 3, 3)),
        (MaxPool(3, 2), (3, 3, 3)),
        (MaxPool(3, 2, ceil_mode=True), (3, 4, 4)),
        (AvgPool(2, 2), (3, 4, 4)),
        (LRN(), IMAGE),
        (LRNWithinChannel(), IMAGE),
        (Sigmoid(), IMAGE),
        (Dropout(), IMAGE),
        (FullyConnected(7), (7,)),
    ],
    ids=str,
)
def test_output_shapes(layer, output):
    assert Net([layer, END], IMAGE).places[0].output == output


def test_parameters_and_multiply_adds():
    net = Net([Conv(6, (3, 5), stride=2, groups=3), ReLU(), FullyConnected(10)], IMAGE)
    assert {name: p.shape for name, p in net.parameters.items()} == {
        "conv1.w": (1, 3, 5, 6), "conv1.b": (6,), "fc2.w": (6 * 3 * 2, 10), "fc2.b": (10,),
    }  # fmt: skip
    assert net.parameter_count == 90 + 6 + 360 + 10
    assert net.multiply_adds == 90 * 3 * 2 + 360
    assert (net.parameters["conv1.w"].fan_in, net.parameters["conv1.w"].fan_out) == (15, 30)
    assert net.classes == 10


def test_two_towers():
    layers = [Conv(4, 3), Conv(6, 3, sees="own"), LRN(), FullyConnected(8), FullyConnected(6, sees="own"),
              FullyConnected(3, on=1)]  # fmt: skip
    net = Net(layers, IMAGE, towers=2)
    assert [place.input_spread for place in net.places] == [WHOLE, SPLIT, SPLIT, SPLIT, SPLIT, SPLIT, 1]
    assert [place.spread for place in net.places] == [SPLIT] * 5 + [1, 1]
    assert [place.towers for place in net.places] == [1, 2, 2, 1, 2, 1, 1]
    shapes = [parameter.shape for name, parameter in net.parameters.items() if name.endswith(".w")]
    assert shapes == [(3, 3, 3, 4), (2, 3, 3, 6), (6 * 4 * 4, 8), (4, 6), (6, 3)]
    one = Net(layers[:-1] + [FullyConnected(3)], IMAGE)  # the same layers in one tower see everything
    assert one.parameters["conv2.w"].shape == (4, 3, 3, 6)
    assert {place.spread for place in one.places} == {WHOLE}


def test_initial_values_depend_on_seed_and_name_alone():
    net = Net([Conv(8, 3, bias=0.5), FullyConnected(4, init=init.Normal(0.1)), FullyConnected(4)], IMAGE)
    values = net.initial(7)
    shorter = Net(list(net.layers[:2]), IMAGE).initial(7)
    assert all(np.array_equal(values[name], value) for name, value in shorter.items())
    assert not np.array_equal(values["conv1.w"], net.initial(8)["conv1.w"])
    assert not np.array_equal(values["fc2.w"].ravel()[:4], values["fc3.w"].ravel()[:4])
    assert {value.dtype for value in values.values()} == {np.dtype(np.float32)}
    assert set(values["conv1.b"]) == {0.5}


@pytest.mark.parametrize(
    "how, std", [(init.Normal(0.03), 0.03), (init.He(), (2 / 192) ** 0.5), (init.Glorot(), (2 / 592) ** 0.5)], ids=str
)
def test_spread_of_initial_values(how, std):
    w = Net([FullyConnected(400, init=how)], IMAGE).initial(0)["fc1.w"]
    # 76,800 values: the estimate of a standard deviation is good to 0.3 %, that of the mean to 0.4 % of it.
    assert abs(w.std() / std - 1) < 0.015
    assert abs(w.mean()) < 0.02 * std


def test_json_gives_an_equal_net():
    recipe = Recipe(
        batch=7, epochs=3, schedule=Steps((Drop(1, 0.1), Drop(2, 0.0, ("a",))), color_until=2),
        bias_schedule=Dexp(10, 2), augmentation=Augmentation(False, True, 0.2), mean="none",
    )  # fmt: skip
    layers = [
        Conv(4, (3, 1), stride=(2, 1), pad="same", name="a", init=init.Glorot(), bias_lr=2.0), Tanh(), Sigmoid(),
        LRNWithinChannel(3, alpha=0.1), LRN(3), AvgPool(2, 2), MaxPool((2, 1), (1, 1)), Dropout(0.3, inverted=False),
        FullyConnected(4, sees="own", init=init.Constant(0.1), bias_decay=1.0),
        FullyConnected(3, on=0, init=init.Normal(0.2), weight_lr=0.5, weight_decay=0.0),
    ]  # fmt: skip
    net = Net(layers, IMAGE, towers=2, name="all kinds", recipe=recipe, source="here")
    text = json.dumps(net.to_json())
    again = Net.from_json(json.loads(text))
    assert again.layers == net.layers
    assert again.recipe == recipe
    assert (again.name, again.input_shape, again.towers, again.source) == ("all kinds", IMAGE, 2, "here")
    assert again.parameters == net.parameters
    assert json.dumps(again.to_json()) == text


@pytest.mark.parametrize("schedule", [Constant(), Plateau(0.5, 2, 1, 0.01), Dexp(), Steps()], ids=str)
def test_json_keeps_schedules(schedule):
    recipe = Recipe(schedule=schedule)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_replace_and_look_ups():
    net = Net([Conv(4, 3), ReLU(), END], IMAGE, name="before")
    other = net.replace(name="after", recipe=Recipe(batch=3))
    assert (other.name, other.recipe.batch, other.layers) == ("after", 3, net.layers)
    assert net.name == "before"
    assert net.place_of("relu1").index == 1
    assert net.layers_named(["fc2", "conv1"]) == ("fc2", "conv1")
    with pytest.raises(ValueError, match="no layer 'relu2'; there are conv1, relu1, fc2, loss"):
        net.place_of("relu2")
    with pytest.raises(ValueError, match="no layer with weights 'relu1'; there are conv1, fc2"):
        net.layers_named(["relu1"])


@pytest.mark.parametrize(
    "layers, message",
    [
        ([], "no layer has weights"),
        ([ReLU()], "no layer has weights"),
        ([Conv(0, 3), END], "layer 'conv1': argument 'filters': got 0, wanted at least 1"),
        ([Conv(2, 3, groups=0), END], "layer 'conv1': argument 'groups': got 0, wanted at least 1"),
        ([Conv(2, 3, groups=2), END], "layer 'conv1': 3 input channels cannot be split into 2 equal parts"),
        ([Conv(5, 3, groups=3), END], "layer 'conv1': 5 filters cannot be split into 3 equal parts"),
        ([Conv(2, 0), END], "layer 'conv1': argument 'size': got 0"),
        ([Conv(2, 9), END], "layer 'conv1': argument 'size': got a height of 9, wanted at most 8"),
        ([Conv(2, 3, stride=0), END], "layer 'conv1': argument 'stride'"),
        ([Conv(2, 3, pad="all"), END], "layer 'conv1': argument 'pad': got 'all'"),
        ([MaxPool(9), END], "layer 'pool0': argument 'size'"),
        ([FullyConnected(0)], "layer 'fc1': argument 'outputs': got 0"),
        ([Dropout(0.0), END], "layer 'drop0': argument 'keep': got 0"),
        ([Dropout(1.5), END], "layer 'drop0': argument 'keep': got 1.5, wanted at most 1"),
        ([LRN(0), END], "layer 'norm0': argument 'size': got 0"),
        ([LRN(k=0.0), END], "layer 'norm0': argument 'k': got 0"),
        ([LRNWithinChannel(alpha=-1.0), END], "layer 'mapnorm0': argument 'alpha': got -1"),
        ([FullyConnected(4), LRN()], r"layer 'norm1': wanted maps \[C, H, W\], got the 4 features"),
        ([FullyConnected(4), Conv(2, 3)], "layer 'conv2': wanted maps"),
        ([Conv(2, 3)], r"layer 'loss': wanted one value per class, got maps \[2, 6, 6\]"),
        ([Conv(2, 3, name="a"), ReLU(name="a"), END], "two layers are called 'a'"),
        ([END, SoftmaxLoss(), END], "has to be the last one"),
        ([FullyConnected(3, on=1)], "layer 'fc1': on: got 1, wanted a tower from 0 to 0"),
    ],
)
def test_nets_that_cannot_be(layers, message):
    with pytest.raises(ValueError, match=message) as error:
        Net(layers, IMAGE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "layers, message",
    [
        ([Conv(5, 3), FullyConnected(2, on=0)], "layer 'conv1': 5 outputs cannot be split over 2 towers"),
        ([Conv(4, 3), FullyConnected(3)], "layer 'fc2': 3 outputs cannot be split over 2 towers"),
        ([Conv(4, 3, sees="own"), END], "layer 'conv1': sees='own' needs an input and an output in both towers"),
        ([Conv(4, 3), Conv(4, 3, groups=2), END], "layer 'conv2': groups in a net of 2 towers need sees='own'"),
        ([Conv(4, 3), FullyConnected(2, sees="own", on=0)], "layer 'fc2': sees='own' needs"),
        ([Conv(4, 3), FullyConnected(2, on=2)], "layer 'fc2': on: got 2, wanted a tower from 0 to 1"),
        ([Conv(4, 3), ReLU(on=0), END], "layer 'relu1': only a layer with weights can move to one tower"),
        ([Conv(4, 3, on=0), FullyConnected(2, on=1)], "layer 'fc2': its input is on tower 0, so it cannot be on 1"),
    ],
)
def test_towers_that_cannot_be(layers, message):
    with pytest.raises(ValueError, match=message):
        Net(layers, IMAGE, towers=2)


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (lambda: Net([ReLU, END], IMAGE), TypeError, "wanted layers such as nn.ReLU"),
        (lambda: Net([Conv("4", 3), END], IMAGE), TypeError, "'filters': got '4', wanted an integer"),
        (lambda: Net([END], (3, 8)), ValueError, "input_shape: got .3, 8., wanted .channels, height, width"),
        (lambda: Net([END], (3, 0, 8)), ValueError, "input_shape"),
        (lambda: Net([END], IMAGE, towers=3), ValueError, "towers: got 3, wanted 1 or 2"),
        (lambda: Conv(4, 3, sees="both"), ValueError, "layer 'conv': sees: got 'both', wanted 'own' or 'all'"),
        (lambda: Conv(4, 3, init="he"), TypeError, "init: got 'he', wanted initial values such as nn.He"),
        (lambda: Conv(4, 3, bias=float("nan")), ValueError, "'bias': got nan"),
        (lambda: FullyConnected(4, weight_lr=-1.0), ValueError, "'weight_lr': got -1"),
        (lambda: Recipe(batch=0), ValueError, "recipe: argument 'batch': got 0, wanted at least 1"),
        (lambda: Recipe(epochs=1.5), TypeError, "'epochs': got 1.5, wanted an integer"),
        (lambda: Recipe(store_size=0), ValueError, "'store_size': got 0"),
        (lambda: Recipe(lr=float("nan")), ValueError, "'lr': got nan"),
        (lambda: Recipe(momentum=1.0), ValueError, "'momentum': got 1.0, wanted below 1"),
        (lambda: Recipe(weight_decay=-0.1), ValueError, "'weight_decay': got -0.1"),
        (lambda: Recipe(pixel_scale=0.0), ValueError, "'pixel_scale': got 0"),
        (lambda: Recipe(momentum="x"), TypeError, "'momentum': got 'x', wanted a number"),
        (lambda: Drop(-1, 0.1), ValueError, "Drop: argument 'epoch': got -1"),
        (lambda: Drop(1, float("nan")), ValueError, "Drop: argument 'factor': got nan"),
        (lambda: Steps(color_until=-1), ValueError, "Steps: argument 'color_until': got -1"),
        (lambda: Dexp(0.0, 4), ValueError, "Dexp: argument 'ratio': got 0"),
        (lambda: Dexp(250, 0), ValueError, "Dexp: argument 'steps': got 0"),
        (lambda: Plateau(factor=-1), ValueError, "Plateau: argument 'factor': got -1"),
        (lambda: Plateau(patience=0), ValueError, "Plateau: argument 'patience': got 0"),
        (lambda: Net([ReLU(name="data"), END], IMAGE), ValueError, "'data', which is the name of the net's input"),
        (lambda: Recipe(mean="pixel"), ValueError, "recipe: mean: got 'pixel'"),
        (lambda: Recipe(schedule="steps"), ValueError, "recipe: schedule: got 'steps', wanted one of"),
        (lambda: Recipe(augmentation=Augmentation(color=-1.0)), ValueError, "'color': got -1"),
        (
            lambda: Net([END], IMAGE, recipe=Recipe(schedule=Steps((Drop(1, 0.0, ("conv1",)),)))),
            ValueError,
            "no layer with weights 'conv1'; there are fc1",
        ),
        (lambda: Net.from_json({"name": "x"}), ValueError, "lacks layers, input_shape, towers, recipe, source"),
    ],
)
def test_arguments_that_cannot_be(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "Deconv"}, "unknown layer 'Deconv'; there are Conv, FullyConnected"),
        ({"init": {"kind": "Orthogonal"}}, "unknown initial values 'Orthogonal'; there are Normal, He"),
    ],
)
def test_json_of_unknown_kinds(change, message):
    description = Net([END], IMAGE).to_json()
    description["layers"][0] |= change
    with pytest.raises(ValueError, match=message):
        Net.from_json(description)


def test_json_of_an_unknown_schedule():
    description = Net([END], IMAGE).to_json()
    description["recipe"]["schedule"] = {"kind": "Cosine"}
    with pytest.raises(ValueError, match="unknown schedule 'Cosine'; there are Constant, Steps"):
        Net.from_json(description)
