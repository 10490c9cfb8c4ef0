"""What crosses between two devices: copies on the target's stream, each after what writes its source."""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import ops
from ..ops.arrays import Array
from .graph import Graph
from .memory import Memory, Piece
from .net import WHOLE, Place
from .nodes import Node, Transfer, add


class Crossings:
    """Adds the copies of one graph to its lists of work."""

    def __init__(self, graph: Graph, memory: Memory):
        self.graph, self.memory, self.devices = graph, memory, memory.devices

    def gather(self, place: Place, before: dict[int, Piece], position: int) -> None:
        """Before a layer that sees all towers runs on one device: the other tower's half into the whole."""
        own, other = before[position], before[1 - position]
        half = self.memory.half(own.full, 1 - position)
        name = self.memory.tensor_name(place.index)
        self._copy(self.graph.forward_nodes, name, (1 - position, other.y, other.written), (position, half))

    def back(self, place: Place, before: dict[int, Piece]) -> None:
        """Bring the gradient of a layer's input to where that input is."""
        nodes, name = self.graph.backward_nodes, self.memory.tensor_name(place.index)
        halves = self.memory.sees_all_halves(place)
        if halves and isinstance(place.spread, int):  # send
            at, away = place.spread, 1 - place.spread
            source, target = before[at], before[away]
            half = self.memory.half(source.dfull, away)
            target.differentiated = self._copy(
                nodes, name, (at, half, source.differentiated), (away, target.dy), gradient=True
            )
            return
        if not halves and not (place.parameters and place.input_spread == WHOLE and len(before) == 2):
            return  # the input's gradient, if anyone asked for it, is a sum over towers too
        if isinstance(place.spread, int):  # one tower alone read an input that both have
            at, away = place.spread, 1 - place.spread
            before[away].differentiated = self._copy(
                nodes, name, (at, before[at].dy, before[at].differentiated), (away, before[away].dy), gradient=True
            )
            return
        # Everything the copies read is complete before either sum begins to change it.
        shares = {at: piece.differentiated for at, piece in before.items()}
        for at in (0, 1) if halves else (0,):
            own, other = before[at], before[1 - at]
            share: Array = self.memory.half(other.dfull, at) if halves else other.dy
            received = self.memory.gradient(at, share.shape[:-1])
            self._copy(nodes, name, (1 - at, share, shares[1 - at]), (at, received), gradient=True)
            total = Node(f"{name} reduce", self.devices[at], partial(ops.add, own.dy, received, out=own.dy))
            own.differentiated = add(nodes, total)

    def share_verdict(self, place: Place) -> None:
        """Tell the other tower, through the host, whether the loss was finite: its updates ask its own state."""
        if len(self.devices) == 1:
            return
        at = self.memory.positions(place.spread)[0]
        (device, state), (other, other_state) = self.graph.states[at], self.graph.states[1 - at]
        host = device.pinned((1,), np.uint32)
        down = Node("verdict to host", device, partial(device.download, state[1:2], host), is_copy=True)
        add(self.graph.backward_nodes, down)
        up = Node("verdict from host", other, partial(other.upload, host, other_state[1:2]), (down,), is_copy=True)
        add(self.graph.backward_nodes, up)

    def _copy(
        self, nodes: list[Node], name: str, source: tuple[int, Array, Node | None], target: tuple[int, Array],
        *, gradient: bool = False,
    ) -> Node:  # fmt: skip
        """A copy between devices, on the target's stream: it waits for the node that wrote the source."""
        at, array, written = source
        to, out = target
        label = f"gradient of {name}" if gradient else name
        names = [f"tower {tower} ({self.devices[tower].name})" for tower in (at, to)]
        self.graph.transfers.append(Transfer(label, array.nbytes, *names))
        copy = partial(self.devices[to].copy_from, self.devices[at], array, out)
        after = () if written is None else (written,)
        return add(nodes, Node(f"{label} to tower {to}", self.devices[to], copy, after, is_copy=True))
