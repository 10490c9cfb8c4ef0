"""Where the tensors of a net are: for each device its own half, inside the whole where it sees the other's too; and
how many bytes there are of what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..ops.arrays import Array
from .devices import Device
from .layer import Shape
from .net import INPUT, SPLIT, Net, Place, Spread
from .nodes import Node
from .precision import Precision
from .weighted import Weighted


@dataclass
class Piece:
    """A tensor on one device: y and dy hold tower `tower` (None: all of it), `full` and `dfull` both towers."""

    tower: int | None
    y: Array
    dy: Array | None
    full: Array | None = None
    dfull: Array | None = None
    written: Node | None = None  # the node that last wrote y, and the one that last wrote dfull or dy
    differentiated: Node | None = None


class Memory:
    """Allocates tensors, and keeps them: `tensors[i]` is what layer i reads, for each device that has it."""

    def __init__(self, net: Net, devices: list[Device], batch: int, precision: Precision):
        self.net, self.devices, self.batch, self.precision = net, devices, batch, precision
        self.tensors: list[dict[int, Piece]] = []
        self.origin: list[int] = []  # for each of them, the layer that made its memory (-1: the input)
        self.bytes: dict[str, list[int]] = {}  # of each kind of array, on each device

    def positions(self, spread: Spread) -> list[int]:
        """Positions of the devices that hold a tensor or run a layer."""
        if len(self.devices) == 1:
            return [0]
        return [spread] if isinstance(spread, int) else list(range(len(self.devices)))

    def half(self, array: Array, tower: int) -> Array:
        features = array.shape[0] // self.net.towers
        return array[tower * features : (tower + 1) * features]

    def take(self, kind: str, position: int, shape: Shape, dtype: np.dtype, *, zeros: bool = False) -> Array:
        """Memory on one device, counted as `kind`."""
        device = self.devices[position]
        array = device.zeros(shape, dtype) if zeros else device.empty(shape, dtype)
        self.bytes.setdefault(kind, [0] * len(self.devices))[position] += array.nbytes
        return array

    def activation(self, index: int, position: int, shape: Shape) -> Array:
        """Memory for the tensor after layer `index` whose share of one image has this shape."""
        return self.take("activations", position, (*shape, self.batch), self._dtype(index))

    def gradient(self, position: int, shape: Shape) -> Array:
        """Memory for the gradient of any tensor, in the dtype that the layers' backward passes take."""
        return self.take("gradients of activations", position, (*shape, self.batch), self.precision.compute)

    def _dtype(self, index: int) -> np.dtype:
        """Of the tensor after layer `index`: logits keep the digits of their sums where the layer can leave them."""
        if index != len(self.net.places) - 2:
            return self.precision.compute
        place = self.net.places[index]
        return self.precision.master if place.layer.leaves_sums(place.towers) else self.precision.compute

    def gathered_by(self, index: int) -> list[int]:
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

    def allocate(self, index: int, shape: Shape, spread: Spread, gradients: bool) -> dict[int, Piece]:
        """Memory for the tensor after layer `index`: for each device its own half, inside the whole where gathered."""
        pieces = {}
        gathered = self.gathered_by(index) if index >= 0 else []
        split = spread == SPLIT and len(self.devices) > 1
        for position in self.positions(spread):
            own = (shape[0] // self.net.towers, *shape[1:]) if split else shape
            y_of, dy_of = partial(self.activation, index, position), partial(self.gradient, position)
            if position in gathered:
                full, dfull = y_of(shape), dy_of(shape) if gradients else None
                half = None if dfull is None else self.half(dfull, position)
                pieces[position] = Piece(position, self.half(full, position), half, full, dfull)
            else:
                dy = dy_of(own) if gradients else None
                pieces[position] = Piece(position if split else None, y_of(own), dy)
        return pieces

    def sees_all_halves(self, place: Place) -> bool:
        """Whether a layer needs both halves of an input that is split over two devices."""
        sees_all = isinstance(place.layer, Weighted) and place.layer.sees == "all"
        return len(self.devices) > 1 and place.input_spread == SPLIT and (sees_all or isinstance(place.spread, int))

    def tensor_name(self, index: int) -> str:
        """Name of the tensor before layer `index`: the layer that made its memory."""
        origin = self.origin[index]
        return INPUT if origin < 0 else self.net.places[origin].layer.name
