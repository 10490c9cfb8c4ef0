"""From a net and devices to a graph: what is stored where, what runs where, and what has to cross.

One device holds both towers in one array, and layers that see their own tower are grouped operations. Two devices
hold a tower each. Only a layer that sees all towers makes anything cross:

    forward    gather    the other tower's maps are copied into the other half of a buffer whose first half the
                         layer before wrote: one contiguous copy, because channels are the slowest index
    backward   reduce    each tower has a gradient of *all* maps, its share; the other tower's share of the own half is
                         copied over and added
               send      a layer on one tower alone has the whole gradient; the other tower gets its half

2012's net crosses at pool2, pool5, fc6 and fc7 and at nothing else (facts of the paper's figure 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..ops.arrays import FLOAT32, FLOAT64, Array
from .devices import Device
from .graph import Graph, Node, Rate, Slice, Tensor, Transfer
from .layer import Shape, Weighted
from .layers import TOPK, ReLU, SoftmaxLoss
from .net import SPLIT, WHOLE, Net, Place
from .part import Part


def place(
    net: Net, devices: Sequence[Device], batch: int, *, dtype: Any = np.float32, seed: int = 0,
    mean: np.ndarray | None = None, training: bool = True, input_gradient: bool = False, fuse: bool = True,
) -> Graph:  # fmt: skip
    """Allocate every buffer and list all work of a net on one device, or of its two towers on two.

    batch: images; dtype: float32, or float64 on the host; seed: of dropout; mean: float32 [C] or [H, W, C], subtracted
    from the pixels fed; training: with room for momentum and gradients; input_gradient: the first layer's too;
    fuse: let convolutions and products clamp their own results where a ReLU follows. Weights are undefined until
    `Graph.set_weights`. Raises ValueError for a batch or devices that do not fit, MemoryError where memory ends.
    """
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise ValueError(f"batch: got {batch!r}, wanted at least 1 image")
    if len(devices) > 1 and net.towers != len(devices):
        raise ValueError(f"net '{net.name}' has {net.towers} tower(s) and cannot be placed on {len(devices)} devices")
    if np.dtype(dtype) not in (FLOAT32, FLOAT64):
        raise ValueError(f"dtype: got {np.dtype(dtype).name}, wanted float32, or float64 on the host")
    builder = _Builder(net, list(devices), int(batch), np.dtype(dtype), seed, training or input_gradient, fuse)
    return builder.build(mean, input_gradient)


@dataclass
class _Piece:
    """A tensor on one device: y and dy hold tower `tower` (None: all of it), `full` and `dfull` both towers."""

    tower: int | None
    y: Array
    dy: Array | None
    full: Array | None = None
    dfull: Array | None = None
    written: Node | None = None  # the node that last wrote y, and the one that last wrote dfull or dy
    differentiated: Node | None = None


class _Builder:
    """Builds one graph. Pieces of the current tensor are kept by the device's position."""

    def __init__(
        self, net: Net, devices: list[Device], batch: int, dtype: np.dtype, seed: int, gradients: bool, fuse: bool
    ):
        self.net, self.devices, self.batch, self.dtype = net, devices, batch, dtype
        self.seed, self.with_gradients, self.fuse = seed, gradients, fuse
        self.graph = Graph(net, devices, batch, dtype)
        self.tensors: list[dict[int, _Piece]] = []  # before the first layer, and after each
        self.origin: list[int] = []  # for each of them, the layer that made its memory (-1: the input)

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

    # --- where things are

    def _positions(self, spread: Any) -> list[int]:
        """Positions of the devices that hold a tensor or run a layer."""
        if len(self.devices) == 1:
            return [0]
        return [spread] if isinstance(spread, int) else list(range(len(self.devices)))

    def _half(self, array: Array, tower: int) -> Array:
        features = array.shape[0] // self.net.towers
        return array[tower * features : (tower + 1) * features]

    def _empty(self, position: int, shape: Shape) -> Array:
        """Memory for a tensor whose share of one image has this shape."""
        return self.devices[position].empty((*shape, self.batch), self.dtype)

    def _gathered_by(self, index: int) -> list[int]:
        """Positions that need all towers of the tensor after layer `index`, which is in halves."""
        place = self.net.places[index]
        if len(self.devices) == 1 or place.spread != SPLIT:
            return []
        for later in self.net.places[index + 1 :]:
            if later.spread == SPLIT and isinstance(later.layer, Weighted) and later.layer.sees == "all":
                return [0, 1]
            if isinstance(later.spread, int):
                return [later.spread]
            if not later.layer.pointwise:
                return []
        return []

    def _tensor(self, index: int, shape: Shape, spread: Any, gradients: bool) -> dict[int, _Piece]:
        """Memory for the tensor after layer `index`: for each device its own half, inside the whole where gathered."""
        pieces = {}
        gathered = self._gathered_by(index) if index >= 0 else []
        split = spread == SPLIT and len(self.devices) > 1
        for position in self._positions(spread):
            own = (shape[0] // self.net.towers, *shape[1:]) if split else shape
            make = partial(self._empty, position)
            if position in gathered:
                full, dfull = make(shape), make(shape) if gradients else None
                half = None if dfull is None else self._half(dfull, position)
                pieces[position] = _Piece(position, self._half(full, position), half, full, dfull)
            else:
                dy = make(own) if gradients else None
                pieces[position] = _Piece(position if split else None, make(own), dy)
        return pieces

    def _note_tensor(self, name: str, pieces: dict[int, _Piece]) -> None:
        self.graph.tensors[name] = Tensor(
            name, [(self.devices[at], piece.tower, piece.y, piece.dy) for at, piece in pieces.items()]
        )

    # --- forward

    def _place_input(self, mean: np.ndarray | None, gradient: bool) -> None:
        first = next(p for p in self.net.places if p.parameters)
        spread = WHOLE if first.layer.on is None else first.layer.on
        pieces = self._tensor(-1, self.net.input_shape, spread, gradient)
        for number, (position, piece) in enumerate(pieces.items()):
            device = self.devices[position]
            self.graph.inputs.append((device, piece.y))
            if mean is not None:
                mean = np.ascontiguousarray(mean, np.float32)
                self.graph.mean[number] = device.empty(mean.shape, np.float32)
                device.upload(mean, self.graph.mean[number])
        self.tensors.append(pieces)
        self.origin.append(-1)
        self._note_tensor("data", pieces)

    def _place_layer(self, place: Place, input_gradient: bool) -> None:
        """Memory, parts and forward nodes of one layer."""
        layer, before = place.layer, self.tensors[-1]
        trained_before = any(p.parameters for p in self.net.places[: place.index])
        gradients = self.with_gradients and (input_gradient or trained_before or bool(place.parameters))
        in_place = layer.pointwise and self._may_overwrite(place)
        if in_place or isinstance(layer, SoftmaxLoss):
            after, name_of = before, self.origin[-1]
        else:
            after, name_of = self._tensor(place.index, place.output, place.spread, gradients), place.index
        needs_dx = gradients and (input_gradient or trained_before)
        parts = []
        for position in self._positions(place.spread):
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
                piece.written = self._add(self.graph.forward_nodes, node)
        self.graph.parts.append(parts)
        self.tensors.append(after)
        self.origin.append(name_of)
        if after is not before or in_place:
            self._note_tensor(layer.name, after)

    def _sees_all_halves(self, place: Place) -> bool:
        """Whether a layer needs both halves of an input that is split over two devices."""
        sees_all = isinstance(place.layer, Weighted) and place.layer.sees == "all"
        return len(self.devices) > 1 and place.input_spread == SPLIT and (sees_all or isinstance(place.spread, int))

    def _first_row(self, piece: _Piece) -> int:
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

    def _input_of(self, place: Place, before: dict[int, _Piece], position: int) -> tuple[Array, Any]:
        """x and dx of a layer on one device, after a gather if it needs the other tower's half."""
        own = before[position]
        if own.full is None or not self._sees_all_halves(place):
            return own.y, own.dy
        other = before[1 - position]
        self._copy(
            self.graph.forward_nodes, self._tensor_name(place.index),
            (1 - position, other.y, other.written), (position, self._half(own.full, 1 - position)),
        )  # fmt: skip
        return own.full, own.dfull

    def _tensor_name(self, index: int) -> str:
        """Name of the tensor before layer `index`: the layer that made its memory."""
        origin = self.origin[index]
        return "data" if origin < 0 else self.net.places[origin].layer.name

    def _furnish(self, place: Place, part: Part, position: int) -> None:
        """A part's parameters and what forward keeps for backward."""
        device = self.devices[position]
        for short, parameter in place.parameters.items():
            count = parameter.shape[-1]
            where = slice(0, count)
            if place.spread == SPLIT and len(self.devices) > 1:
                where = slice(count * position // 2, count * (position + 1) // 2)
            shape = (*parameter.shape[:-1], where.stop - where.start)
            part.parameters[short] = value = device.empty(shape, self.dtype)
            momentum = gradient = None
            if self.with_gradients:
                part.momenta[short] = momentum = device.empty(shape, self.dtype)
                part.gradients[short] = gradient = device.empty(shape, self.dtype)
            self.graph.slices.setdefault(parameter.name, []).append(Slice(device, where, value, momentum, gradient))
        for name, (shape, dtype) in place.layer.kept((*part.x.shape[:-1],)).items():
            part.kept[name] = device.empty((*shape, self.batch), dtype)
        if place is self.net.places[-1]:
            part.kept["loss"] = device.empty((), self.dtype)
            part.kept["correct"] = device.empty((len(TOPK),), np.int32)
            part.kept["labels"] = device.empty((self.batch,), np.int32)
            if part.dx is None:
                part.dx = device.empty(part.x.shape, self.dtype)  # the operation always writes it

    # --- backward

    def _differentiate(self, place: Place) -> None:
        """Backward and update nodes of one layer on all its devices, then what has to cross before the next."""
        graph, layer, before = self.graph, place.layer, self.tensors[place.index]
        parts = graph.parts[place.index]
        if place is self.net.places[-1]:
            self._share_verdict(place)
        if not place.parameters and parts[0].dx is None:
            return
        for position, part in zip(self._positions(place.spread), parts, strict=True):
            device = self.devices[position]
            node = Node(f"{layer.name} backward", device, partial(layer.backward, part), of_layer=True)
            before[position].differentiated = self._add(graph.backward_nodes, node)
            for short, parameter in place.parameters.items():
                name = parameter.name
                update = Node(f"{name} update", device, partial(_update, part, short), parameter=name)
                self._add(graph.backward_nodes, update)
        if parts[0].dx is not None and len(self.devices) > 1:
            self._cross_back(place, before)

    def _cross_back(self, place: Place, before: dict[int, _Piece]) -> None:
        """Bring the gradient of a layer's input to where that input is."""
        nodes, name = self.graph.backward_nodes, self._tensor_name(place.index)
        halves = self._sees_all_halves(place)
        if halves and isinstance(place.spread, int):  # send
            at, away = place.spread, 1 - place.spread
            source, target = before[at], before[away]
            half = self._half(source.dfull, away)
            target.differentiated = self._copy(
                nodes, name, (at, half, source.differentiated), (away, target.dy), gradient=True
            )
            return
        if not halves and not (place.parameters and place.input_spread == WHOLE and len(before) == 2):
            return  # the input's gradient, if anyone asked for it, is a sum over towers too
        # Everything the copies read is complete before either sum begins to change it.
        shares = {at: piece.differentiated for at, piece in before.items()}
        for at in (0, 1) if halves else (0,):
            own, other = before[at], before[1 - at]
            share: Array = self._half(other.dfull, at) if halves else other.dy
            received = self._empty(at, share.shape[:-1])
            self._copy(nodes, name, (1 - at, share, shares[1 - at]), (at, received), gradient=True)
            add = Node(f"{name} reduce", self.devices[at], partial(ops.add, own.dy, received, out=own.dy))
            own.differentiated = self._add(nodes, add)

    def _share_verdict(self, place: Place) -> None:
        """Tell the other tower, through the host, whether the loss was finite: its updates ask its own state."""
        if len(self.devices) == 1:
            return
        at = self._positions(place.spread)[0]
        (device, state), (other, other_state) = self.graph.states[at], self.graph.states[1 - at]
        host = device.pinned((1,), np.uint32)
        down = Node("verdict to host", device, partial(device.download, state[1:2], host), is_copy=True)
        self._add(self.graph.backward_nodes, down)
        up = Node("verdict from host", other, partial(other.upload, host, other_state[1:2]), (down,), is_copy=True)
        self._add(self.graph.backward_nodes, up)

    # --- nodes

    def _add(self, nodes: list[Node], node: Node) -> Node:
        for other in node.after:
            other.announced = True
        nodes.append(node)
        return node

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
        return self._add(nodes, Node(f"{label} to tower {to}", self.devices[to], copy, after, is_copy=True))


def _update(part: Part, short: str, rate: Rate, momentum: float) -> None:
    ops.sgd_momentum(
        part.parameters[short], part.momenta[short], part.gradients[short],
        lr=rate.lr, momentum=momentum, weight_decay=rate.weight_decay, state=part.state,
    )  # fmt: skip
