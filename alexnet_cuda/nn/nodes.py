"""What a graph is made of: pieces of work, where tensors and parameters are, and what a step takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..ops.arrays import Array
from .devices import Device, Event


@dataclass
class Node:
    """One piece of work on one device; `after` are the nodes of other devices it waits for.

    `call` takes nothing; a layer's takes `training`, an update's the rate and the momentum of the step, and that of a
    layer's gradients with their updates all rates, None where gradients alone are asked for, and the momentum.
    """

    label: str
    device: Device
    call: Callable[..., None]
    after: tuple[Node, ...] = ()
    is_copy: bool = False  # the call queues the work on the device's stream by itself
    of_layer: bool = False
    parameter: str | None = None  # set: an update, left out where the parameter's rate is 0
    with_updates: bool = False  # a layer's gradients with their updates
    announced: bool = False  # another node waits for this one
    event: Event = field(default=None, repr=False)


def add(nodes: list[Node], node: Node) -> Node:
    """Append a node; those it waits for will record an event."""
    for other in node.after:
        other.announced = True
    nodes.append(node)
    return node


@dataclass(frozen=True)
class Transfer:
    """A tensor, or its gradient, that crosses from one device to another in each step."""

    tensor: str
    bytes: int
    source: str
    target: str


@dataclass(frozen=True)
class Rate:
    """What an update of one parameter uses; a learning rate of 0 leaves it and its momentum alone."""

    lr: float
    weight_decay: float = 0.0


@dataclass(frozen=True)
class StepResult:
    """The mean loss of a batch, how many images were right (top-1, top-5), and how many there were."""

    loss: float
    correct: tuple[int, int]
    images: int


@dataclass
class Slice:
    """One device's share of a parameter: columns `where` of the last axis of the whole.

    copy: the value rounded to what layers compute in, where that is not what the value is kept in.
    """

    device: Device
    where: slice
    value: Array
    copy: Array | None = None
    momentum: Array | None = None
    gradient: Array | None = None


@dataclass
class Tensor:
    """Activations after a layer, with the gradient: for each device, its array and the tower it holds (None: all)."""

    name: str
    pieces: list[tuple[Device, int | None, Array, Array | None]]
