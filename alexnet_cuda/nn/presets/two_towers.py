"""The nets of 2012 with their two towers, the one-tower comparison, and the small net of the same topology."""

from __future__ import annotations

from functools import partial

from ..init import Normal
from ..layers import LRN, Conv, Dropout, FullyConnected, LRNWithinChannel, MaxPool, ReLU
from ..net import Net
from ..recipe import Augmentation, Drop, Plateau, Recipe, Steps

PAPER = "Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
# The paper's 3.3: n = 5, k = 2, alpha = 1e-4, beta = 0.75, and the sum is not divided by n.
PAPER_LRN = LRN(5, alpha=1e-4, beta=0.75, k=2.0)
# In training the mask alone; in evaluation, times 0.5 (4.2 of the paper).
PAPER_DROPOUT = Dropout(0.5, inverted=False)
AUGMENTATION = Augmentation(color=0.1)


def alexnet_2012() -> Net:
    """Config #145 of the released source: the net behind the numbers of the paper. 60,965,224 parameters.

    Unlike the paper's text: conv1 and conv5 reach their ReLU after the pool, conv1 is normalised before both;
    conv3 to conv5 begin with a standard deviation of .03; conv2 has a second normalisation, over 5x5 pixels of each
    map; biases learn at .02. The code divides an LRN's scale by its window: 1e-4 / 5 and .001 / 25 here.
    224 pixels give 55 windows because the original rounds up: three zero pixels at the right and bottom alone.

    The rates are those of the 2010 run, which was stopped after 93 epochs: divided by 10 at 23 and at 51; at 68 conv1
    falls to 1e-5 and colour noise ends; at 72 conv1 is frozen; at 78 all others fall to 1e-5.
    Unlike the original: it drew crop and flip once for 32 images, divided images with colour noise by 1.1, and kept
    the order of the images; here each image draws its own, nothing is divided, and epochs are shuffled.
    """
    conv = partial(Conv, ceil_mode=True, bias_lr=2.0)
    fc = partial(FullyConnected, init=Normal(0.01), bias_lr=2.0)
    pool = MaxPool(3, 2, ceil_mode=True)
    norm, map_norm = (kind(5, alpha=a, beta=0.75, k=2.0) for kind, a in ((LRN, 2e-5), (LRNWithinChannel, 4e-5)))
    layers = [
        conv(96, 11, 4, init=Normal(0.01)), norm, pool, ReLU(),
        conv(256, 5, pad=2, sees="own", init=Normal(0.01), bias=1.0), ReLU(), norm, map_norm, pool,
        conv(384, 3, pad=1, init=Normal(0.03)), ReLU(),
        conv(384, 3, pad=1, sees="own", init=Normal(0.03), bias=1.0), ReLU(),
        conv(256, 3, pad=1, sees="own", init=Normal(0.03), bias=1.0), pool, ReLU(),
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(1000, on=0),
    ]  # fmt: skip
    others = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    drops = (Drop(23, 0.1), Drop(51, 0.01), Drop(68, 0.001, ("conv1",)), Drop(72, 0.0, ("conv1",)))
    schedule = Steps((*drops, Drop(78, 0.001, others)), color_until=68)
    recipe = Recipe(batch=128, epochs=93, lr=0.01, schedule=schedule, augmentation=AUGMENTATION, pixel_scale=1)
    source = "released 2012 source (Computer History Museum), layers-145.cfg and layer-params-145*.cfg"
    return Net(layers, (3, 224, 224), towers=2, name="alexnet_2012", recipe=recipe, source=source)


def alexnet_paper() -> Net:
    """What the paper's text says (sections 3 to 5). 60,965,224 parameters.

    LRN after the ReLU of conv1 and conv2, then the pool; standard deviation .01 everywhere; bias 1 in conv2, conv4,
    conv5, fc6 and fc7; one rate of .01, divided by 10 at each of three plateaus of the validation error.
    The text's 224 pixels give its 55x55 outputs with windows rounded up, as in its source.
    Unlike the text: colour noise scales each component with the square root of its eigenvalue, as the source does;
    with the eigenvalue itself, pixels of 0 to 255 would drown in it.
    """
    conv, fc = partial(Conv, ceil_mode=True, init=Normal(0.01)), partial(FullyConnected, init=Normal(0.01))
    pool = MaxPool(3, 2, ceil_mode=True)
    layers = [
        conv(96, 11, 4), ReLU(), PAPER_LRN, pool,
        conv(256, 5, pad=2, sees="own", bias=1.0), ReLU(), PAPER_LRN, pool,
        conv(384, 3, pad=1), ReLU(),
        conv(384, 3, pad=1, sees="own", bias=1.0), ReLU(),
        conv(256, 3, pad=1, sees="own", bias=1.0), ReLU(), pool,
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(1000, on=0),
    ]  # fmt: skip
    source = f"{PAPER}, sections 3 to 5"
    return Net(layers, (3, 224, 224), towers=2, name="alexnet_paper", recipe=_paper_recipe(), source=source)


def alexnet_one_tower() -> Net:
    """The net on one GPU that the paper compares its two towers with (1.7 and 1.2 points worse). 59,798,312 parameters.

    One tower of the paper's net; as the footnote of 3.2 says, the last convolution and the fully connected layers
    keep the size they have in both towers together.
    """
    conv, fc = partial(Conv, ceil_mode=True, init=Normal(0.01)), partial(FullyConnected, init=Normal(0.01))
    pool = MaxPool(3, 2, ceil_mode=True)
    layers = [
        conv(48, 11, 4), ReLU(), PAPER_LRN, pool,
        conv(128, 5, pad=2, bias=1.0), ReLU(), PAPER_LRN, pool,
        conv(192, 3, pad=1), ReLU(),
        conv(192, 3, pad=1, bias=1.0), ReLU(),
        conv(256, 3, pad=1, bias=1.0), ReLU(), pool,
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(4096, bias=1.0), ReLU(), PAPER_DROPOUT,
        fc(1000),
    ]  # fmt: skip
    source = f"{PAPER}, section 3.2 and its footnote"
    return Net(layers, (3, 224, 224), name="alexnet_one_tower", recipe=_paper_recipe(), source=source)


def _paper_recipe() -> Recipe:
    """Section 5 of the paper; 4.1 for crops, flips and colour noise. Biases decay no more than in the source."""
    schedule = Plateau(factor=0.1, drops=3)
    return Recipe(batch=128, epochs=90, lr=0.01, schedule=schedule, augmentation=AUGMENTATION, pixel_scale=1)


def alexnet_mini() -> Net:
    """The topology of 2012 at 32x32 pixels: two towers that meet in conv3 and in the fully connected layers.

    Ours: small enough to train on a CPU in minutes, so that all of the house can be seen at work. Tuned on the
    embedded images: dropping a fifth of the fully connected layers, not half, because 14 epochs are few; and without
    mirror images, because shoes and sleeves all point one way there.
    """
    drop = Dropout(0.8)
    pool = MaxPool(3, 2, ceil_mode=True)
    layers = [
        Conv(16, 5, pad=2), ReLU(), PAPER_LRN, pool,
        Conv(32, 5, pad=2, sees="own"), ReLU(), PAPER_LRN, pool,
        Conv(48, 3, pad=1), ReLU(),
        Conv(48, 3, pad=1, sees="own"), ReLU(),
        Conv(32, 3, pad=1, sees="own"), ReLU(), pool,
        FullyConnected(256), ReLU(), drop,
        FullyConnected(256), ReLU(), drop,
        FullyConnected(10, on=0),
    ]  # fmt: skip
    recipe = Recipe(
        batch=128, epochs=14, lr=0.03, store_size=36, schedule=Steps((Drop(9, 0.1), Drop(12, 0.01))),
        augmentation=Augmentation(flip=False),
    )  # fmt: skip
    source = "this project: the topology of the 2012 net, He initial values"
    return Net(layers, (3, 32, 32), towers=2, name="alexnet_mini", recipe=recipe, source=source)
