"""Nets before and after AlexNet."""

from __future__ import annotations

from functools import partial

from ..init import Glorot, Normal
from ..layer import Layer
from ..layers import LRN, AvgPool, Conv, Dropout, FullyConnected, MaxPool, ReLU, Tanh
from ..net import Net
from ..recipe import Augmentation, Drop, Plateau, Recipe, Steps


def lenet5() -> Net:
    """LeNet-5 for 28x28 grey digits, as it is mostly built today. 61,706 parameters.

    Unlike LeCun et al., 1998: conv2 sees all maps, pools have no weights, and a softmax takes the place of the
    distances to drawn digits. Kept: pixels on a scale of 1/200 (theirs run from -.1 to 1.175), 20 epochs, and rates
    that fall to 2/5, 1/5, 1/10 and 1/50 after 2, 5, 8 and 12 of them; the first one is ours, for plain SGD.
    """
    layers = [
        Conv(6, 5, pad=2, init=Glorot()), Tanh(), AvgPool(2, 2),
        Conv(16, 5, init=Glorot()), Tanh(), AvgPool(2, 2),
        FullyConnected(120, init=Glorot()), Tanh(),
        FullyConnected(84, init=Glorot()), Tanh(),
        FullyConnected(10, init=Glorot()),
    ]  # fmt: skip
    recipe = Recipe(
        batch=128, epochs=20, lr=0.05, weight_decay=0.0, store_size=28, mean="channel", pixel_scale=1 / 200,
        schedule=Steps((Drop(2, 0.4), Drop(5, 0.2), Drop(8, 0.1), Drop(12, 0.02))),
        augmentation=Augmentation(random_crop=False, flip=False),
    )  # fmt: skip
    source = "LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998"
    return Net(layers, (1, 28, 28), name="lenet5", recipe=recipe, source=source)


def zfnet() -> Net:
    """Zeiler and Fergus, 2013: AlexNet with smaller windows and strides at the bottom. 62,357,608 parameters.

    Pools come before norms, and both round up (110 to 55, 26 to 13). Every weight begins with a standard deviation
    of .01 and every bias at 0; 70 epochs at .01, lowered by hand when the validation error stood still (here three
    tenths). Unlike the paper: crops lie anywhere instead of at the centre and corners, filters of large norm are
    not clipped, and norms and decay, which it does not state, are AlexNet's.
    """
    conv, fc = partial(Conv, init=Normal(0.01)), partial(FullyConnected, init=Normal(0.01))
    norm, pool = LRN(5, alpha=1e-4, beta=0.75, k=2.0), MaxPool(3, 2, ceil_mode=True)
    layers = [
        conv(96, 7, 2, pad=1), ReLU(), pool, norm,
        conv(256, 5, 2), ReLU(), pool, norm,
        conv(384, 3, pad=1), ReLU(),
        conv(384, 3, pad=1), ReLU(),
        conv(256, 3, pad=1), ReLU(), pool,
        fc(4096), ReLU(), Dropout(0.5, inverted=False),
        fc(4096), ReLU(), Dropout(0.5, inverted=False),
        fc(1000),
    ]  # fmt: skip
    recipe = Recipe(batch=128, epochs=70, lr=0.01, schedule=Plateau(factor=0.1, drops=3), pixel_scale=1)
    source = "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 3"
    return Net(layers, (3, 224, 224), name="zfnet", recipe=recipe, source=source)


def vgg16() -> Net:
    """Configuration D of Simonyan and Zisserman, 2014. 138,357,544 parameters.

    As there: 256 images, .01 divided by 10 at three plateaus, 74 epochs, mean colour subtracted, flips and colour
    noise. Initial values are Glorot's, which they found to make their pre-training needless.
    """
    layers: list[Layer] = []
    for block, (filters, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for index in range(1, count + 1):
            layers.append(Conv(filters, 3, pad=1, init=Glorot(), name=f"conv{block}_{index}"))
            layers.append(ReLU(name=f"relu{block}_{index}"))
        layers.append(MaxPool(2, 2, name=f"pool{block}"))
    for number in (6, 7):
        fc = FullyConnected(4096, init=Glorot(), name=f"fc{number}")
        layers += [fc, ReLU(name=f"relu{number}"), Dropout(0.5, name=f"drop{number}")]
    layers.append(FullyConnected(1000, init=Glorot(), name="fc8"))
    recipe = Recipe(
        batch=256, epochs=74, lr=0.01, schedule=Plateau(factor=0.1, drops=3), mean="channel",
        augmentation=Augmentation(color=0.1), pixel_scale=1,
    )  # fmt: skip
    source = "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014, D"
    return Net(layers, (3, 224, 224), name="vgg16", recipe=recipe, source=source)
