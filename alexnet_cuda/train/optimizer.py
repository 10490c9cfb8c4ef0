"""The rate of every parameter in a step: the recipe's, times the schedule's factor, times the layer's own multiplier.

The update itself, momentum and decay as in section 5 of the paper, is `ops.sgd_momentum`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ..nn.graph import Rate
from ..nn.layer import Parameter
from ..nn.net import Net

FROZEN = Rate(0.0)


class Factors(Protocol):
    """What is asked of a `schedule.Schedule`."""

    def factor(self, layer: str, epoch: float, *, bias: bool = False) -> float: ...


def rates(net: Net, schedule: Factors, epoch: float, frozen: Collection[str] = ()) -> dict[str, Rate]:
    """For each parameter of `net`, its learning rate and weight decay when `epoch` epochs are done.

    frozen: layers whose rate is 0: neither they nor their momentum change, and they do not decay.
    """
    return {
        name: FROZEN
        if p.layer in frozen
        else Rate(base_rate(net, schedule, epoch, p) * p.lr, net.recipe.weight_decay * p.decay)
        for name, p in net.parameters.items()
    }


def base_rate(net: Net, schedule: Factors, epoch: float, parameter: Parameter) -> float:
    """A parameter's learning rate before its layer's own multiplier."""
    return net.recipe.lr * schedule.factor(parameter.layer, epoch, bias=parameter.is_bias)


def stated_rate(net: Net, schedule: Factors, epoch: float, frozen: Collection[str] = ()) -> float:
    """The one learning rate that reports state: the largest of `base_rate`, of what is trained."""
    return max(base_rate(net, schedule, epoch, p) for p in net.parameters.values() if p.layer not in frozen)
