"""AlexNet in one column, as later programs and books had it."""

from __future__ import annotations

import math
from functools import partial

from ..init import Normal
from ..layer import Layer
from ..layers import LRN, Conv, Dropout, FullyConnected, MaxPool, ReLU
from ..net import Net
from ..recipe import Augmentation, Dexp, Drop, Plateau, Recipe, Steps

# What torchvision's models are trained with: pixels in [0, 1] divided by .229, .224 and .225.
IMAGENET_STD = 57.6


def alexnet_textbook(dropout: bool = True) -> Net:
    """The reading of the paper that courses teach: one column, no groups, no LRN. 62,378,344 parameters.

    227 pixels instead of 224, so that (227 - 11) / 4 + 1 = 55 comes out even. dropout: .5 before fc6 and fc7;
    False for the bare listing. The recipe is the paper's, with He initial values on pixels of variance about 1, and
    with half its rate: these values start with large logits, and at .01 the first steps raise the loss.
    """
    drop: list[Layer] = [Dropout(0.5)] if dropout else []
    pool = MaxPool(3, 2)
    layers = [
        Conv(96, 11, 4), ReLU(), pool,
        Conv(256, 5, pad=2), ReLU(), pool,
        Conv(384, 3, pad=1), ReLU(),
        Conv(384, 3, pad=1), ReLU(),
        Conv(256, 3, pad=1), ReLU(), pool,
        *drop, FullyConnected(4096), ReLU(),
        *drop, FullyConnected(4096), ReLU(),
        FullyConnected(1000),
    ]  # fmt: skip
    recipe = Recipe(
        lr=0.005, schedule=Plateau(factor=0.1, drops=3), augmentation=Augmentation(color=0.1),
        pixel_scale=1 / IMAGENET_STD,
    )  # fmt: skip
    source = "the single-column reading of NIPS 2012 in courses and books; initial values of He et al., 2015"
    return Net(layers, (3, 227, 227), name="alexnet_textbook", recipe=recipe, source=source)


def alexnet_caffe() -> Net:
    """bvlc_alexnet. 60,965,224 parameters: one column whose groups of 2 hold what the towers' halves held.

    Norm windows reach over both groups, k is 1, and alpha is 1e-4 / 5 as Caffe divides; biases are .1 where the paper
    has 1, with which Caffe's authors saw a flat loss; fc6 and fc7 begin with a standard deviation of .005.
    450,000 steps of 256 images are 90 epochs, with a tenth of the rate after every 100,000 steps: 20 epochs.
    Its published weights want blue first; here images are red first, and training from scratch sees no difference.
    """
    conv, fc = partial(Conv, init=Normal(0.01), bias_lr=2.0), partial(FullyConnected, bias_lr=2.0)
    norm, pool = LRN(5, alpha=2e-5, beta=0.75, k=1.0), MaxPool(3, 2, ceil_mode=True)
    layers = [
        conv(96, 11, 4), ReLU(), norm, pool,
        conv(256, 5, pad=2, groups=2, bias=0.1), ReLU(), norm, pool,
        conv(384, 3, pad=1), ReLU(),
        conv(384, 3, pad=1, groups=2, bias=0.1), ReLU(),
        conv(256, 3, pad=1, groups=2, bias=0.1), ReLU(), pool,
        fc(4096, init=Normal(0.005), bias=0.1), ReLU(), Dropout(0.5),
        fc(4096, init=Normal(0.005), bias=0.1), ReLU(), Dropout(0.5),
        fc(1000, init=Normal(0.01)),
    ]  # fmt: skip
    schedule = Steps((Drop(20, 0.1), Drop(40, 0.01), Drop(60, 0.001), Drop(80, 0.0001)))
    recipe = Recipe(batch=256, epochs=90, lr=0.01, schedule=schedule, pixel_scale=1)
    source = "BVLC Caffe, models/bvlc_alexnet/train_val.prototxt and solver.prototxt"
    return Net(layers, (3, 227, 227), name="alexnet_caffe", recipe=recipe, source=source)


def alexnet_owt() -> Net:
    """The net of cuda-convnet2 and of "One weird trick for parallelizing convolutional neural networks" (2014).

    Rates fall in equal logarithmic steps: weights from .01 by 250 in 4, biases from .02 by 10 in 2. conv1 is
    normalised and pooled before its ReLU, and conv5 pooled before its; LRN's 1e-4 is divided by its window. Its last
    biases begin at -7 for a variant of the net with independent classes; a softmax does not see them.
    Logged errors: 42.548/19.810 centre crop, 40.420/18.150 ten views.
    """
    conv = partial(Conv, ceil_mode=True, bias_lr=2.0)
    fc = partial(FullyConnected, init=Normal(0.01), bias_lr=2.0)
    norm, pool = LRN(5, alpha=2e-5, beta=0.75, k=2.0), MaxPool(3, 2, ceil_mode=True)
    drop = Dropout(0.5, inverted=False)
    layers = [
        conv(64, 11, 4, init=Normal(0.01)), norm, pool, ReLU(),
        conv(192, 5, pad=2, init=Normal(0.01), bias=1.0), ReLU(), norm, pool,
        conv(384, 3, pad=1, init=Normal(0.03)), ReLU(),
        conv(256, 3, pad=1, init=Normal(0.03), bias=1.0), ReLU(),
        conv(256, 3, pad=1, init=Normal(0.03), bias=1.0), pool, ReLU(),
        fc(4096, bias=1.0), ReLU(), drop,
        fc(4096, bias=1.0), ReLU(), drop,
        fc(1000, bias=-7.0),
    ]  # fmt: skip
    recipe = Recipe(
        batch=128, epochs=90, lr=0.01, schedule=Dexp(250, 4), bias_schedule=Dexp(10, 2),
        augmentation=Augmentation(color=0.1), pixel_scale=1,
    )  # fmt: skip
    source = "cuda-convnet2, layers/layers-imagenet-1gpu.cfg and layer-params-imagenet-1gpu.cfg"
    return Net(layers, (3, 224, 224), name="alexnet_owt", recipe=recipe, source=source)


def alexnet_torchvision() -> Net:
    """torchvision's `alexnet`: the widths of One weird trick without LRN, two pixels of padding in conv1. 61,100,840.

    Initial values have the standard deviation of PyTorch's uniform ones, 1 / sqrt(3 * fan_in), but are normal, and
    biases begin at 0. Rates, batch and decay, which biases share, are those of torchvision's reference scripts for
    this net: .01, a tenth after 30 and 60 epochs, 256 images, 1e-4. Crops are plain ones, without its scaling.
    """

    def std(fan_in: int) -> float:
        return 1 / math.sqrt(3 * fan_in)

    conv, fc, pool = partial(Conv, bias_decay=1.0), partial(FullyConnected, bias_decay=1.0), MaxPool(3, 2)
    layers = [
        conv(64, 11, 4, pad=2, init=Normal(std(3 * 11 * 11))), ReLU(), pool,
        conv(192, 5, pad=2, init=Normal(std(64 * 5 * 5))), ReLU(), pool,
        conv(384, 3, pad=1, init=Normal(std(192 * 3 * 3))), ReLU(),
        conv(256, 3, pad=1, init=Normal(std(384 * 3 * 3))), ReLU(),
        conv(256, 3, pad=1, init=Normal(std(256 * 3 * 3))), ReLU(), pool,
        Dropout(0.5), fc(4096, init=Normal(std(256 * 6 * 6))), ReLU(),
        Dropout(0.5), fc(4096, init=Normal(std(4096))), ReLU(),
        fc(1000, init=Normal(std(4096))),
    ]  # fmt: skip
    schedule = Steps((Drop(30, 0.1), Drop(60, 0.01)))
    recipe = Recipe(
        batch=256, epochs=90, lr=0.01, weight_decay=1e-4, schedule=schedule, mean="channel",
        pixel_scale=1 / IMAGENET_STD,
    )  # fmt: skip
    source = "torchvision, models/alexnet.py and references/classification"
    return Net(layers, (3, 224, 224), name="alexnet_torchvision", recipe=recipe, source=source)
