"""The updates of a graph: after the gradients, or for layers with weights along with them, in one pass.

One pass saves memory traffic, not bits: it gives those of the gradient followed by the update. So neither a checkpoint
nor what a resumed run compares knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from .. import ops
from ..ops.arrays import BFLOAT16, Array
from .devices import Device
from .nodes import Rate, Slice
from .part import Part
from .weighted import Weighted


def fused_layer(part: Part, device: Device, wanted: bool | None) -> Weighted | None:
    """The layer of a part whose update comes along with its gradient on a device, None where it comes after.

    wanted: True or False for every layer with weights, None where that never writes the gradient: where the device's
    tensor cores take the shapes.
    """
    layer = part.layer
    if not isinstance(layer, Weighted):
        return None
    if type(layer).backward is not Weighted.backward or type(layer).update is Weighted.update:
        return None  # a layer of the user's that goes back in a way of its own, or has no such update
    if wanted is None:
        wanted = _pays(layer, part, device)
    return layer if wanted else None


def _pays(layer: Weighted, part: Part, device: Device) -> bool:
    backend = device.name.partition(":")[0]
    if backend not in ("emulated", "cuda") or part.x.dtype != BFLOAT16:
        return False
    answers: list[bool] = []
    device.submit(lambda: answers.append(layer.updates_in_one_pass(part, backend)))  # so that its own GPU is asked
    return answers[0]


def update(piece: Slice, state: Array, rate: Rate, momentum: float) -> None:
    """One parameter's, with the gradient that backward left."""
    ops.sgd_momentum(
        piece.value, piece.momentum, piece.gradient,
        lr=rate.lr, momentum=momentum, weight_decay=rate.weight_decay, w_bf16=piece.copy, state=state,
    )  # fmt: skip


def gradients_and_updates(
    layer: Weighted, part: Part, pieces: Mapping[str, Slice], names: Mapping[str, str],
    rates: Mapping[str, Rate] | None, momentum: float,
) -> None:  # fmt: skip
    """A layer's, in one pass where there is something to update; rates: None where gradients alone are asked for.

    pieces and names: slice and name of each parameter, by its short name. Parameters with a rate of 0 stay as they are,
    with their momenta, and where all have one there is nothing to do.
    """
    if rates is None:
        layer.parameter_gradients(part)
        return
    moving = {short: rates[name] for short, name in names.items() if rates[name].lr != 0}
    if "w" in moving:
        layer.update(part, pieces, moving, momentum)
    elif moving:
        layer.parameter_gradients(part)
        for short, rate in moving.items():
            update(pieces[short], part.state, rate, momentum)
