"""From a net and devices to a graph: what is stored where, what runs where, and what has to cross.

One device holds both towers in one array, and layers that see their own tower are grouped operations. Two devices
hold a tower each. Only a layer that sees all towers makes anything cross:

    forward    gather    the other tower's maps are copied into the other half of a buffer whose first half the
                         layer before wrote: one contiguous copy, because channels are the slowest index
    backward   reduce    each tower has a gradient of *all* maps, its share; the other tower's share of the own half is
                         copied over and added
               send      a layer on one tower alone has the whole gradient; the other tower gets its half

2012's net crosses at pool2, pool5, fc6 and fc7 and at nothing else (the paper's figure 2).

What a reduce costs in bfloat16: each share is rounded before it crosses and their sum once more, where one device
rounds the whole sum once. The gradient is off by at most 2^-8 of |share| + |share| more, about 0.4%; forward, and above
the first reduce, two devices compute what one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..ops.arrays import Array
from . import precision as precisions
from . import updates
from .crossing import Crossings
from .devices import Device
from .graph import Graph
from .layer import Parameter
from .layers import TOPK, ReLU, SoftmaxLoss
from .memory import Memory, Piece
from .net import INPUT, SPLIT, WHOLE, Net, Place
from .nodes import Node, Slice, Tensor, add
from .part import Part
from .precision import Precision
from .weighted import Weighted


def place(
    net: Net, devices: Sequence[Device], batch: int, *, precision: str = "fp32", seed: int = 0,
    mean: np.ndarray | None = None, training: bool = True, input_gradient: bool = False, fuse: bool = True,
    fuse_updates: bool | None = None,
) -> Graph:  # fmt: skip
    """Allocate every buffer and list all work of a net on one device, or of its two towers on two.

    batch: images; precision: "fp32", "bf16" (activations, their gradients and the weights that layers read in
    bfloat16, the rest in float32), or "fp64" on NumPy's backends; seed: of dropout; mean: float32 [C] or [H, W, C],
    subtracted from the pixels fed; training: with room for momentum and gradients; input_gradient: the first layer's
    too; fuse: let convolutions and products clamp their own results where a ReLU follows; fuse_updates: let layers with
    weights update them along with the gradient, which changes no bit, by default where that is faster: in "bf16" on
    tensor cores that take the shapes. Momenta begin at 0, weights are undefined until `Graph.set_weights`. Raises
    ValueError for a batch, a precision or devices that do not fit, MemoryError where memory ends.
    """
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise ValueError(f"batch: got {batch!r}, wanted at least 1 image")
    if len(devices) > 1 and net.towers != len(devices):
        raise ValueError(f"net '{net.name}' has {net.towers} tower(s) and cannot be placed on {len(devices)} devices")
    gradients = training or input_gradient
    builder = _Builder(net, list(devices), int(batch), precisions.named(precision), seed, gradients, fuse, fuse_updates)
    return builder.build(mean, input_gradient)


class _Builder:
    """Builds one graph, forward layer by layer and then backward."""

    def __init__(
        self, net: Net, devices: list[Device], batch: int, precision: Precision, seed: int, gradients: bool, fuse: bool,
        fuse_updates: bool | None,
    ):  # fmt: skip
        self.net, self.devices, self.batch, self.precision = net, devices, batch, precision
        self.seed, self.with_gradients, self.fuse, self.fuse_updates = seed, gradients, fuse, fuse_updates
        self.graph = Graph(net, devices, batch, precision)
        self.memory = Memory(net, devices, batch, precision)
        self.graph.memory = self.memory.bytes
        self.crossings = Crossings(self.graph, self.memory)

    def build(self, mean: np.ndarray | None, input_gradient: bool) -> Graph:
        graph, net = self.graph, self.net
        for device in self.devices:
            state = device.empty((3,), np.uint32)
            device.upload(ops.step_state(), state)
            graph.states.append((device, state))
        self._place_input(mean, input_gradient)
        for place in net.places:
            self._place_layer(place, input_gradient)
        if self.with_gradients:
            for place in reversed(net.places):
                self._differentiate(place)
        graph.synchronize()
        return graph

    def _note_tensor(self, name: str, pieces: dict[int, Piece]) -> None:
        self.graph.tensors[name] = Tensor(
            name, [(self.devices[at], piece.tower, piece.y, piece.dy) for at, piece in pieces.items()]
        )

    def _place_input(self, mean: np.ndarray | None, gradient: bool) -> None:
        first = self.net.layers[0]
        spread = WHOLE if first.on is None else first.on
        pieces = self.memory.allocate(-1, self.net.input_shape, spread, gradient)
        for number, (position, piece) in enumerate(pieces.items()):
            device = self.devices[position]
            self.graph.inputs.append((device, piece.y))
            if mean is not None:
                mean = np.ascontiguousarray(mean, np.float32)
                self.graph.mean[number] = device.empty(mean.shape, np.float32)
                device.upload(mean, self.graph.mean[number])
        self.memory.tensors.append(pieces)
        self.memory.origin.append(-1)
        self._note_tensor(INPUT, pieces)

    def _place_layer(self, place: Place, input_gradient: bool) -> None:
        """Memory, parts and forward nodes of one layer."""
        layer, before = place.layer, self.memory.tensors[-1]
        trained_before = any(p.parameters for p in self.net.places[: place.index])
        gradients = self.with_gradients and (input_gradient or trained_before or bool(place.parameters))
        in_place = layer.pointwise and self._may_overwrite(place)
        if in_place or isinstance(layer, SoftmaxLoss):
            after, name_of = before, self.memory.origin[-1]
        else:
            after, name_of = self.memory.allocate(place.index, place.output, place.spread, gradients), place.index
        needs_dx = gradients and (input_gradient or trained_before)
        parts = []
        for position in self.memory.positions(place.spread):
            x, dx = self._input_of(place, before, position)
            piece = after[position]
            part = Part(
                layer, place.index, self.seed, x, piece.y,
                piece.dy if gradients else None, dx if needs_dx else None, self.graph.states[position][1],
                groups=place.towers if len(self.devices) == 1 else 1,
                first_row=self._first_row(piece),
                fused_relu=self._clamps(place),
            )  # fmt: skip
            self._furnish(place, part, position)
            parts.append(part)
            if not (isinstance(layer, ReLU) and in_place and self._clamps(self.net.places[place.index - 1])):
                node = Node(
                    f"{layer.name} forward", self.devices[position], partial(layer.forward, part), of_layer=True
                )
                piece.written = add(self.graph.forward_nodes, node)
        self.graph.parts.append(parts)
        self.memory.tensors.append(after)
        self.memory.origin.append(name_of)
        if after is not before or in_place:
            self._note_tensor(layer.name, after)

    def _first_row(self, piece: Piece) -> int:
        """Number, in the whole tensor, of the first feature in a piece."""
        return 0 if piece.tower is None else piece.tower * (piece.y.size // self.batch)

    def _clamps(self, place: Place) -> bool:
        """Whether a layer does the ReLU that follows it."""
        following = self.net.places[place.index + 1 : place.index + 2]
        return self.fuse and isinstance(place.layer, Weighted) and any(isinstance(p.layer, ReLU) for p in following)

    def _may_overwrite(self, place: Place) -> bool:
        """Whether a pointwise layer may write over its input: not when backward of what made it still reads that."""
        if place.index == 0:
            return False
        for earlier in reversed(self.net.places[: place.index]):
            if earlier.layer.reads_own == "value" or (earlier.layer.reads_own and not place.layer.keeps_sign):
                return False
            if not earlier.layer.pointwise:
                return True
        return False

    def _input_of(self, place: Place, before: dict[int, Piece], position: int) -> tuple[Array, Any]:
        """x and dx of a layer on one device, after a gather if it needs the other tower's half."""
        own = before[position]
        if own.full is None or not self.memory.sees_all_halves(place):
            return own.y, own.dy
        self.crossings.gather(place, before, position)
        return own.full, own.dfull

    def _furnish(self, place: Place, part: Part, position: int) -> None:
        """A part's parameters and what forward keeps for backward."""
        device = self.devices[position]
        for short, parameter in place.parameters.items():
            piece = self._slice(place, parameter, position)
            part.parameters[short] = piece.value if piece.copy is None else piece.copy
            if piece.gradient is not None:
                part.gradients[short] = piece.gradient
            self.graph.slices.setdefault(parameter.name, []).append(piece)
        for name, (shape, dtype) in place.layer.kept((*part.x.shape[:-1],)).items():
            part.kept[name] = self.memory.take("kept for backward", position, (*shape, self.batch), np.dtype(dtype))
        if place is self.net.places[-1]:
            part.kept["loss"] = device.empty((), self.precision.master)
            part.kept["correct"] = device.empty((len(TOPK),), np.int32)
            part.kept["labels"] = device.empty((self.batch,), np.int32)
            if part.dx is None:
                part.dx = self.memory.gradient(position, part.x.shape[:-1])  # the operation always writes it

    def _slice(self, place: Place, parameter: Parameter, position: int) -> Slice:
        """Memory for one device's share of a parameter, and for all that the update needs."""
        count = parameter.shape[-1]
        where = slice(0, count)
        if place.spread == SPLIT and len(self.devices) > 1:
            where = slice(count * position // 2, count * (position + 1) // 2)
        shape = (*parameter.shape[:-1], where.stop - where.start)
        master = self.precision.master
        piece = Slice(self.devices[position], where, self.memory.take("parameters", position, shape, master))
        if self.precision.has_copies and not parameter.is_bias:  # biases are added to sums
            piece.copy = self.memory.take("copies of weights", position, shape, self.precision.compute)
        if self.with_gradients:
            piece.momentum = self.memory.take("momenta", position, shape, master, zeros=True)
            piece.gradient = self.memory.take("gradients of parameters", position, shape, master)
        return piece

    def _differentiate(self, place: Place) -> None:
        """Backward and update nodes of one layer on all its devices, then what has to cross before the next."""
        graph, layer, before = self.graph, place.layer, self.memory.tensors[place.index]
        parts = graph.parts[place.index]
        if place is self.net.places[-1]:
            self.crossings.share_verdict(place)
        if not place.parameters and parts[0].dx is None:
            return
        for number, (position, part) in enumerate(zip(self.memory.positions(place.spread), parts, strict=True)):
            device = self.devices[position]
            names = {short: parameter.name for short, parameter in place.parameters.items()}
            pieces = {short: graph.slices[name][number] for short, name in names.items()}
            fused = updates.fused_layer(part, device, self.fuse_updates)
            if fused is not None:
                self._differentiate_and_update(fused, part, before[position], pieces, names)
                continue
            node = Node(f"{layer.name} backward", device, partial(layer.backward, part), of_layer=True)
            before[position].differentiated = add(graph.backward_nodes, node)
            for short, name in names.items():
                update = partial(updates.update, pieces[short], part.state)
                add(graph.backward_nodes, Node(f"{name} update", device, update, parameter=name))
        if parts[0].dx is not None and len(self.devices) > 1:
            self.crossings.back(place, before)

    def _differentiate_and_update(
        self, layer: Weighted, part: Part, before: Piece, pieces: dict[str, Slice], names: dict[str, str]
    ) -> None:
        """The gradient of the input first: it reads the weights that the update changes. Both are on one stream."""
        part.fused_update = True
        nodes, device = self.graph.backward_nodes, self.graph.device_of(part)
        if part.dx is not None:
            node = Node(f"{layer.name} input gradient", device, partial(layer.input_gradient, part))
            before.differentiated = add(nodes, node)
        call = partial(updates.gradients_and_updates, layer, part, pieces, names)
        add(nodes, Node(f"{layer.name} gradients and updates", device, call, with_updates=True))
