"""Where the tensors of a net are: for each device its own half, inside the whole where it sees the other's too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..ops.arrays import Array
from .devices import Device
from .layer import Shape
from .net import INPUT, SPLIT, Net, Place, Spread
from .nodes import Node
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

    def __init__(self, net: Net, devices: list[Device], batch: int, dtype: np.dtype):
        self.net, self.devices, self.batch, self.dtype = net, devices, batch, dtype
        self.tensors: list[dict[int, Piece]] = []
        self.origin: list[int] = []  # for each of them, the layer that made its memory (-1: the input)

    def positions(self, spread: Spread) -> list[int]:
        """Positions of the devices that hold a tensor or run a layer."""
        if len(self.devices) == 1:
            return [0]
        return [spread] if isinstance(spread, int) else list(range(len(self.devices)))

    def half(self, array: Array, tower: int) -> Array:
        features = array.shape[0] // self.net.towers
        return array[tower * features : (tower + 1) * features]

    def empty(self, position: int, shape: Shape) -> Array:
        """Memory for a tensor whose share of one image has this shape."""
        return self.devices[position].empty((*shape, self.batch), self.dtype)

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
            make = partial(self.empty, position)
            if position in gathered:
                full, dfull = make(shape), make(shape) if gradients else None
                half = None if dfull is None else self.half(dfull, position)
                pieces[position] = Piece(position, self.half(full, position), half, full, dfull)
            else:
                dy = make(own) if gradients else None
                pieces[position] = Piece(position if split else None, make(own), dy)
        return pieces

    def sees_all_halves(self, place: Place) -> bool:
        """Whether a layer needs both halves of an input that is split over two devices."""
        sees_all = isinstance(place.layer, Weighted) and place.layer.sees == "all"
        return len(self.devices) > 1 and place.input_spread == SPLIT and (sees_all or isinstance(place.spread, int))

    def tensor_name(self, index: int) -> str:
        """Name of the tensor before layer `index`: the layer that made its memory."""
        origin = self.origin[index]
        return INPUT if origin < 0 else self.net.places[origin].layer.name
