"""The nets of history, as data: one function for each, with its layers, its recipe and where they come from.

What every preset shares: pixels are 0 to 255, less the mean, times `Recipe.pixel_scale`; `filters` and `outputs`
count both towers; alpha of a normalisation is not divided by its window. Where a source does something that has no
place here, its docstring says so.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable
from typing import Any

from ..layers import Conv, FullyConnected, Weighted
from ..net import Net
from .other import lenet5, vgg16, zfnet
from .single_column import alexnet_caffe, alexnet_owt, alexnet_textbook, alexnet_torchvision
from .two_towers import alexnet_2012, alexnet_mini, alexnet_one_tower, alexnet_paper

PRESETS: dict[str, Callable[..., Net]] = {
    build.__name__: build
    for build in (
        alexnet_2012, alexnet_paper, alexnet_one_tower, alexnet_textbook, alexnet_caffe, alexnet_owt,
        alexnet_torchvision, alexnet_mini, lenet5, zfnet, vgg16,
    )
}  # fmt: skip


def preset(name: str, classes: int | None = None, **options: Any) -> Net:
    """The net of that name, with `classes` outputs where they are not those of the original.

    options: `dropout=False` for `alexnet_textbook`; the others take none.
    Raises ValueError for an unknown name, with the list, for an option that the net does not take, and for classes.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(str(name), PRESETS, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        raise ValueError(f"unknown preset {name!r}{meant}; there are {', '.join(PRESETS)}")
    build = PRESETS[name]
    known = list(inspect.signature(build).parameters)
    for option in options:
        if option not in known:
            raise ValueError(f"preset '{name}': unknown option '{option}'; it takes {', '.join(known) or 'none'}")
    net = build(**options)
    return net if classes is None else with_classes(net, classes)


def with_classes(net: Net, classes: int) -> Net:
    """`net` with another number of outputs in its last layer with weights; the rest is unchanged.

    Raises ValueError for fewer than 2 classes.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"net '{net.name}': classes: got {classes!r}, wanted an integer of at least 2")
    layers = list(net.layers)
    last = max(index for index, layer in enumerate(layers) if isinstance(layer, Weighted))
    layer = layers[last]
    if isinstance(layer, Conv):
        layers[last] = dataclasses.replace(layer, filters=classes)
    elif isinstance(layer, FullyConnected):
        layers[last] = dataclasses.replace(layer, outputs=classes)
    else:
        raise ValueError(f"net '{net.name}': layer '{layer.name}' has no number of outputs to change")
    return net.replace(layers=layers)
