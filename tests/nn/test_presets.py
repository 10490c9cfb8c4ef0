"""The presets: published counts and shapes, and what a careless port of the 2012 net loses."""

import json
import math

import numpy as np
import pytest

from alexnet_cuda.nn import init
from alexnet_cuda.nn.layers import LRN, Conv, Dropout, FullyConnected, LRNWithinChannel, MaxPool
from alexnet_cuda.nn.net import SPLIT, Net
from alexnet_cuda.nn.presets import PRESETS, preset
from alexnet_cuda.nn.recipe import Dexp, Drop, Plateau, Steps
from alexnet_cuda.nn.table import totals
from alexnet_cuda.nn.weighted import Weighted

PARAMETERS = {
    "alexnet_2012": 60_965_224,
    "alexnet_paper": 60_965_224,
    "alexnet_one_tower": 59_798_312,
    "alexnet_textbook": 62_378_344,
    "alexnet_caffe": 60_965_224,
    "alexnet_owt": 61_100_840,
    "alexnet_torchvision": 61_100_840,
    "lenet5": 61_706,
    "zfnet": 62_357_608,
    "vgg16": 138_357_544,
}
ALEXNET_SIDES = {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}
SIDES = {
    **{name: ALEXNET_SIDES for name in PARAMETERS if name.startswith("alexnet")},
    "alexnet_mini": {"conv1": 32, "pool1": 16, "conv2": 16, "pool2": 8, "conv3": 8, "conv4": 8, "conv5": 8, "pool5": 4},
    "lenet5": {"conv1": 28, "pool1": 14, "conv2": 10, "pool2": 5},
    "zfnet": {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6},
    "vgg16": {"conv1_2": 224, "pool1": 112, "conv2_2": 112, "pool2": 56, "pool3": 28, "pool4": 14, "conv5_3": 14,
              "pool5": 7},
}  # fmt: skip
INPUTS = {name: (3, 224, 224) for name in PRESETS} | {
    "alexnet_textbook": (3, 227, 227), "alexnet_caffe": (3, 227, 227), "alexnet_mini": (3, 32, 32),
    "lenet5": (1, 28, 28),
}  # fmt: skip
WIDTHS = {
    **{name: [96, 256, 384, 384, 256, 4096, 4096, 1000] for name in ("alexnet_2012", "alexnet_paper", "alexnet_caffe",
                                                                     "alexnet_textbook", "zfnet")},
    "alexnet_one_tower": [48, 128, 192, 192, 256, 4096, 4096, 1000],
    "alexnet_owt": [64, 192, 384, 256, 256, 4096, 4096, 1000],
    "alexnet_torchvision": [64, 192, 384, 256, 256, 4096, 4096, 1000],
    "alexnet_mini": [16, 32, 48, 48, 32, 256, 256, 10],
    "lenet5": [6, 16, 120, 84, 10],
    "vgg16": [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096, 1000],
}  # fmt: skip
PAPER_ORDER = (
    "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
    "fc6 relu6 drop6 fc7 relu7 drop7 fc8 loss"
)
ORDERS = {
    "alexnet_2012": "conv1 norm1 pool1 relu1 conv2 relu2 norm2 mapnorm2 pool2 conv3 relu3 conv4 relu4 "
    "conv5 pool5 relu5 fc6 relu6 drop6 fc7 relu7 drop7 fc8 loss",
    "alexnet_owt": "conv1 norm1 pool1 relu1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 pool5 relu5 "
    "fc6 relu6 drop6 fc7 relu7 drop7 fc8 loss",
    "alexnet_torchvision": "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
    "drop5 fc6 relu6 drop6 fc7 relu7 fc8 loss",
    "zfnet": PAPER_ORDER.replace("norm1 pool1", "pool1 norm1").replace("norm2 pool2", "pool2 norm2"),
    "lenet5": "conv1 tanh1 pool1 conv2 tanh2 pool2 fc3 tanh3 fc4 tanh4 fc5 loss",
    **{name: PAPER_ORDER for name in ("alexnet_paper", "alexnet_one_tower", "alexnet_caffe", "alexnet_mini")},
}
ORDERS["alexnet_textbook"] = ORDERS["alexnet_torchvision"]


@pytest.fixture(scope="module")
def net_2012() -> Net:
    return preset("alexnet_2012")


def layers(net: Net, kind: type) -> dict:
    return {layer.name: layer for layer in net.layers if isinstance(layer, kind)}


def weighted(net: Net) -> dict[str, Weighted]:
    return layers(net, Weighted)


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameter_counts(name):
    assert preset(name).parameter_count == PARAMETERS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_shapes(name):
    net = preset(name)
    assert net.name == name
    assert net.input_shape == INPUTS[name]
    assert [net.place_of(layer).output[0] for layer in weighted(net)] == WIDTHS[name]
    for layer, side in SIDES[name].items():
        assert net.place_of(layer).output[1:] == (side, side), layer
    assert net.classes == WIDTHS[name][-1]


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_layers(name):
    assert " ".join(layer.name for layer in preset(name).layers) == ORDERS[name]


def test_towers():
    assert {name for name in PRESETS if preset(name).towers == 2} == {"alexnet_2012", "alexnet_paper", "alexnet_mini"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_where_it_comes_from(name):
    assert len(preset(name).source) > 20
    assert len(PRESETS[name].__doc__) > 80


@pytest.mark.parametrize("name", PRESETS)
def test_json_gives_the_net_back(name):
    net = preset(name)
    again = Net.from_json(json.loads(json.dumps(net.to_json())))
    assert again.layers == net.layers
    assert again.recipe == net.recipe
    assert again.parameters == net.parameters
    assert again.to_json() == net.to_json()


def test_textbook_figures():
    net = preset("alexnet_textbook")
    of_layer = {name: 0 for name in weighted(net)}
    for parameter in net.parameters.values():
        of_layer[parameter.layer] += math.prod(parameter.shape)
    assert list(of_layer.values()) == [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]
    sums = totals(net)
    assert sums.multiply_adds == 1_135_256_096
    assert f"{sums.mebibytes:.2f}" == "237.95"
    assert f"{sums.conv_multiply_add_share:.1%} {sums.conv_parameter_share:.1%}" == "94.8% 6.0%"
    bare = preset("alexnet_textbook", dropout=False)
    assert layers(net, Dropout).keys() == {"drop5", "drop6"}
    assert not layers(bare, Dropout)
    assert bare.parameters == net.parameters


@pytest.mark.parametrize("name", ["alexnet_2012", "alexnet_paper"])
def test_neurons(name):
    net = preset(name)
    counts = [math.prod(net.place_of(layer).output) for layer in weighted(net)]
    assert counts == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert totals(net).neurons == 659_272


@pytest.mark.parametrize("name", ["alexnet_2012", "alexnet_paper", "alexnet_mini"])
def test_what_each_layer_sees_and_where_it_is(name):
    net = preset(name)
    sees = {layer: what.sees for layer, what in weighted(net).items()}
    assert sees == {
        "conv1": "all", "conv2": "own", "conv3": "all", "conv4": "own", "conv5": "own",
        "fc6": "all", "fc7": "all", "fc8": "all",
    }  # fmt: skip
    crossing = [p.layer.name for p in net.places if p.input_spread == SPLIT and getattr(p.layer, "sees", "") == "all"]
    assert crossing == ["conv3", "fc6", "fc7", "fc8"]
    assert {place.layer.name for place in net.places if place.spread == 0} == {"fc8", "loss"}
    assert all(place.spread == SPLIT for place in net.places[:-2])
    assert all(place.towers == 2 for place in net.places if isinstance(place.layer, (LRN, LRNWithinChannel)))


def test_2012_weights(net_2012):
    shapes = {name: parameter.shape for name, parameter in net_2012.parameters.items() if name.endswith(".w")}
    assert shapes == {
        "conv1.w": (3, 11, 11, 96), "conv2.w": (48, 5, 5, 256), "conv3.w": (256, 3, 3, 384),
        "conv4.w": (192, 3, 3, 384), "conv5.w": (192, 3, 3, 256),
        "fc6.w": (9216, 4096), "fc7.w": (4096, 4096), "fc8.w": (4096, 1000),
    }  # fmt: skip
    stds = [layer.init for layer in weighted(net_2012).values()]
    assert stds == [init.Normal(std) for std in (0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01)]
    assert [layer.bias for layer in weighted(net_2012).values()] == [0, 1, 0, 1, 1, 1, 1, 0]


def test_2012_rates(net_2012):
    recipe = net_2012.recipe
    rates = {(p.name[-1], recipe.lr * p.lr, recipe.weight_decay * p.decay) for p in net_2012.parameters.values()}
    assert rates == {("w", 0.01, 0.0005), ("b", 0.02, 0.0)}
    assert (recipe.momentum, recipe.batch, recipe.epochs) == (0.9, 128, 93)


def test_2012_norms_pools_and_dropout(net_2012):
    norms = layers(net_2012, (LRN, LRNWithinChannel))
    constants = {name: (norm.size, norm.alpha, norm.beta, norm.k) for name, norm in norms.items()}
    assert constants == {
        "norm1": (5, 2e-5, 0.75, 2), "norm2": (5, 2e-5, 0.75, 2), "mapnorm2": (5, 4e-5, 0.75, 2),
    }  # fmt: skip
    assert {(p.size, p.stride, p.ceil_mode) for p in layers(net_2012, MaxPool).values()} == {(3, 2, True)}
    assert layers(net_2012, Conv)["conv1"].ceil_mode
    assert {(d.keep, d.inverted) for d in layers(net_2012, Dropout).values()} == {(0.5, False)}


def rate_of(schedule: Steps, layer: str, epoch: int) -> float:
    """The factor that holds for a layer in an epoch, by the words of `Drop`."""
    factor = 1.0
    for drop in schedule.drops:
        if epoch >= drop.epoch and (not drop.layers or layer in drop.layers):
            factor = drop.factor
    return factor


def test_2012_schedule(net_2012):
    schedule = net_2012.recipe.schedule
    assert schedule.color_until == 68
    expected = {
        0: (1, 1), 22: (1, 1), 23: (0.1, 0.1), 50: (0.1, 0.1), 51: (0.01, 0.01), 67: (0.01, 0.01),
        68: (0.001, 0.01), 71: (0.001, 0.01), 72: (0, 0.01), 77: (0, 0.01), 78: (0, 0.001), 92: (0, 0.001),
    }  # fmt: skip
    for epoch, (conv1, others) in expected.items():
        assert rate_of(schedule, "conv1", epoch) == conv1, epoch
        assert {rate_of(schedule, layer, epoch) for layer in weighted(net_2012) if layer != "conv1"} == {others}, epoch


def test_the_paper():
    net = preset("alexnet_paper")
    assert {layer.init for layer in weighted(net).values()} == {init.Normal(0.01)}
    assert [layer.bias for layer in weighted(net).values()] == [0, 1, 0, 1, 1, 1, 1, 0]
    assert {layer.bias_lr for layer in weighted(net).values()} == {1.0}
    assert {(n.size, n.alpha, n.beta, n.k) for n in layers(net, LRN).values()} == {(5, 1e-4, 0.75, 2)}
    assert {d.inverted for d in layers(net, Dropout).values()} == {False}
    recipe = net.recipe
    assert (recipe.lr, recipe.momentum, recipe.weight_decay, recipe.batch, recipe.epochs) == (0.01, 0.9, 5e-4, 128, 90)
    assert (recipe.schedule.factor, recipe.schedule.drops) == (0.1, 3)
    assert preset("alexnet_one_tower").recipe == recipe


@pytest.mark.parametrize("name", ["alexnet_2012", "alexnet_paper"])
def test_images_of_2012(name):
    recipe = preset(name).recipe
    assert (recipe.store_size, recipe.mean) == (256, "image")
    assert (recipe.augmentation.random_crop, recipe.augmentation.flip, recipe.augmentation.color) == (True, True, 0.1)


def test_caffe():
    net = preset("alexnet_caffe")
    assert [layer.groups for layer in layers(net, Conv).values()] == [1, 2, 1, 2, 2]
    assert [layer.bias for layer in weighted(net).values()] == [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]
    assert [layer.init.std for layer in weighted(net).values()] == [0.01] * 5 + [0.005, 0.005, 0.01]
    assert {(n.size, n.alpha, n.beta, n.k) for n in layers(net, LRN).values()} == {(5, 2e-5, 0.75, 1)}
    assert {layer.bias_lr for layer in weighted(net).values()} == {2.0}
    steps_an_epoch = 1_281_167 / net.recipe.batch
    assert [round(100_000 * n / steps_an_epoch) for n in (1, 2, 3, 4)] == [d.epoch for d in net.recipe.schedule.drops]


def test_owt():
    net = preset("alexnet_owt")
    assert [layer.bias for layer in weighted(net).values()] == [0, 1, 0, 1, 1, 1, 1, -7]
    assert [layer.init.std for layer in weighted(net).values()] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert {layer.bias_lr for layer in weighted(net).values()} == {2.0}
    assert (net.recipe.schedule, net.recipe.bias_schedule) == (Dexp(250, 4), Dexp(10, 2))
    assert layers(net, Conv)["conv1"].pad == 0


def test_torchvision():
    net = preset("alexnet_torchvision")
    assert layers(net, Conv)["conv1"].pad == 2
    assert {p.ceil_mode for p in layers(net, MaxPool).values()} == {False}
    assert net.recipe.schedule == Steps((Drop(30, 0.1), Drop(60, 0.01)))
    for name, parameter in net.parameters.items():
        if name.endswith(".w"):  # PyTorch's standard deviation
            assert parameter.init.std == pytest.approx(1 / math.sqrt(3 * parameter.fan_in)), name


def test_others():
    assert isinstance(preset("zfnet").recipe.schedule, Plateau)
    assert {layer.init for layer in weighted(preset("zfnet")).values()} == {init.Normal(0.01)}
    assert {layer.init for layer in weighted(preset("vgg16")).values()} == {init.Glorot()}
    assert not preset("lenet5").recipe.augmentation.flip  # digits have no mirror images


def test_classes_replace_the_outputs_of_the_last_layer():
    for name in ("alexnet_mini", "lenet5", "vgg16"):
        original, net = preset(name), preset(name, classes=7)
        assert net.classes == 7
        assert net.layers[:-2] == original.layers[:-2]
        assert net.recipe == original.recipe
    with pytest.raises(ValueError, match="classes: got 1, wanted an integer of at least 2"):
        preset("lenet5", classes=1)
    with pytest.raises(ValueError, match="classes: got 2.5"):
        preset("lenet5", classes=2.5)


def test_unknown_names_and_options():
    with pytest.raises(ValueError, match=r"unknown preset 'alexnet_2013' \(did you mean 'alexnet_2012'\?\); there are"):
        preset("alexnet_2013")
    with pytest.raises(ValueError, match=r"unknown preset 'inception'; there are") as error:
        preset("inception")
    assert all(name in str(error.value) for name in PRESETS)
    with pytest.raises(ValueError, match="'lenet5': unknown option 'dropout'; it takes none"):
        preset("lenet5", dropout=False)
    with pytest.raises(ValueError, match="unknown option 'drop'; it takes dropout"):
        preset("alexnet_textbook", drop=0.1)


def test_initial_values_of_small_presets():
    for name in ("alexnet_mini", "lenet5"):
        net = preset(name)
        values = net.initial(3)
        assert {key: value.shape for key, value in values.items()} == {k: p.shape for k, p in net.parameters.items()}
        for key, value in values.items():
            assert value.dtype == np.float32
            assert np.isfinite(value).all()
            assert (value.std() > 0) == key.endswith(".w")


def test_the_nets_of_2012_see_pixels_as_they_are():
    unscaled = {name for name in PRESETS if preset(name).recipe.pixel_scale == 1}
    assert unscaled == {
        "alexnet_2012", "alexnet_paper", "alexnet_one_tower", "alexnet_caffe", "alexnet_owt", "zfnet", "vgg16",
    }  # fmt: skip
    assert preset("lenet5").recipe.pixel_scale == 1 / 200


def test_fully_connected_layers_are_the_only_others_with_weights():
    for name in PRESETS:
        assert all(isinstance(layer, (Conv, FullyConnected)) for layer in weighted(preset(name)).values())
