"""Nets as data, and their placement on devices.

    net = nn.preset("alexnet_2012")                                 # or nn.Net([nn.Conv(96, 11), ...], (3, 227, 227))
    graph = nn.place(net, nn.devices("cuda:0,cuda:1"), batch=128)   # fixed buffers, explicit forward and backward
    print(graph.describe())                                         # what runs where, and what crosses

`layers` are the building blocks, `net` checks that they fit, `presets` are the nets of history, `recipe` says how
they are trained; `placement` turns a net and devices into the schedule that `graph` runs.
"""

from .devices import CudaDevice, Device, EmulatedDevice, HostDevice, devices
from .graph import Graph
from .init import Constant, Glorot, He, Normal
from .layer import Layer, Parameter
from .layers import (
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
    Weighted,
)
from .net import Net
from .nodes import Rate, StepResult, Transfer
from .placement import place
from .precision import PRECISIONS, Precision
from .presets import PRESETS, preset, with_classes
from .recipe import Augmentation, Dexp, Drop, Plateau, Recipe, Schedule, Steps

__all__ = [
    "Augmentation",
    "AvgPool",
    "Constant",
    "Conv",
    "CudaDevice",
    "Device",
    "Dexp",
    "Drop",
    "Dropout",
    "EmulatedDevice",
    "FullyConnected",
    "Glorot",
    "Graph",
    "He",
    "HostDevice",
    "LRN",
    "LRNWithinChannel",
    "Layer",
    "MaxPool",
    "Net",
    "Normal",
    "PRECISIONS",
    "PRESETS",
    "Parameter",
    "Plateau",
    "Precision",
    "Rate",
    "ReLU",
    "Recipe",
    "Schedule",
    "Sigmoid",
    "SoftmaxLoss",
    "StepResult",
    "Steps",
    "Tanh",
    "Transfer",
    "Weighted",
    "devices",
    "place",
    "preset",
    "with_classes",
]
