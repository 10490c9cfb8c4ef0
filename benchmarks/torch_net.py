"""The same net in PyTorch, from the same description: what the CPU and GPU benchmarks compare with. Not shipped."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import nn as tnn

from alexnet_cuda import nn


class TowerLRN(tnn.Module):
    """PyTorch's LRN, whose alpha is divided by the window, with windows that stay inside a tower."""

    def __init__(self, layer: nn.LRN, towers: int):
        super().__init__()
        self.norm = tnn.LocalResponseNorm(layer.size, alpha=layer.alpha * layer.size, beta=layer.beta, k=layer.k)
        self.towers = towers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        return self.norm(x.reshape(n * self.towers, c // self.towers, h, w)).reshape(n, c, h, w)


def torch_net(net: nn.Net) -> tnn.Sequential:
    """`net` without its loss, both towers as groups, with PyTorch's default weights."""
    modules: list[tuple[str, tnn.Module]] = []
    for place in net.places[:-1]:
        layer = place.layer
        if isinstance(layer, nn.FullyConnected) and len(place.input) == 3:
            modules.append((f"flatten_{layer.name}", tnn.Flatten()))
        modules.append((layer.name, _module(place)))
    return tnn.Sequential(OrderedDict(modules))


def _module(place) -> tnn.Module:
    layer = place.layer
    match layer:
        case nn.Conv():
            if layer.ceil_mode:
                raise NotImplementedError("PyTorch's convolutions do not round up")
            groups = layer.groups * place.towers
            return tnn.Conv2d(place.input[0], layer.filters, layer.size, layer.stride, layer.pad, groups=groups)
        case nn.FullyConnected():
            return tnn.Linear(int(np.prod(place.input)), layer.outputs)
        case nn.ReLU():
            return tnn.ReLU(inplace=True)
        case nn.LRN():
            return TowerLRN(layer, place.towers)
        case nn.MaxPool():
            return tnn.MaxPool2d(layer.size, layer.stride, layer.pad, ceil_mode=layer.ceil_mode)
        case nn.Dropout(inverted=True):
            return tnn.Dropout(1 - layer.keep)
    raise NotImplementedError(f"no PyTorch form of {layer!r} here")


def load_weights(module: tnn.Sequential, weights: dict[str, np.ndarray]) -> None:
    """Copy whole-layer weights: [C, R, S, K] to [K, C, R, S], [inputs, outputs] to [outputs, inputs]."""
    with torch.no_grad():
        for name, value in weights.items():
            layer, short = name.rsplit(".", 1)
            target = getattr(module, layer)
            if short == "b":
                target.bias.copy_(torch.from_numpy(value))
            else:
                value = value.transpose(3, 0, 1, 2) if value.ndim == 4 else value.T
                target.weight.copy_(torch.from_numpy(np.ascontiguousarray(value)))
