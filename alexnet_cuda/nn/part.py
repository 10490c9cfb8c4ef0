"""One layer on one device: what `Layer.forward` and `Layer.backward` work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..ops.arrays import Array

if TYPE_CHECKING:
    from .layer import Layer


@dataclass
class Part:
    """A layer's arrays on one device, and where in the whole layer they begin.

    x, y: input and output, the same array where the layer works in place; dy, dx: their gradients, dx None where
    nobody needs it. parameters: as layers read them, weights in the dtype of x, biases in that of sums; gradients: of
    them, in that of sums. groups: towers inside these arrays that the layer keeps apart. first_row: number in the whole
    tensor of its first feature here. seed: of dropout; state: this device's step state. fused_relu: the next layer's
    ReLU is done here. fused_update: its parameters' gradients and updates are one piece of work, after that for dx.
    """

    layer: Layer
    index: int
    seed: int
    x: Array
    y: Array
    dy: Array | None
    dx: Array | None
    state: Array
    groups: int = 1
    first_row: int = 0
    fused_relu: bool = False
    fused_update: bool = False
    parameters: dict[str, Array] = field(default_factory=dict)
    gradients: dict[str, Array] = field(default_factory=dict)
    kept: dict[str, Array] = field(default_factory=dict)
