"""The update: gradient descent with momentum and weight decay."""

from typing import Any

import numpy as np

from . import parameters
from .arrays import BFLOAT16, FLOAT32, FLOAT64, Array, Gate

STATE = np.dtype(np.uint32)


def step_state(step: int = 0, lr_scale: float = 1.0) -> np.ndarray:
    """A step state on the host: uint32 [3] = (step, ok = 1, the bits of lr_scale as float32).

    What changes from step to step without a new launch: `dropout` takes `state[:1]` as its step,
    `softmax_cross_entropy` clears `ok` when the loss is not finite, and `sgd_momentum` multiplies its rate by lr_scale
    and does nothing while ok is 0.
    """
    number = parameters.integer("step_state", "step", step, minimum=0, maximum=parameters.UINT32_MAX)
    scale = np.float32(parameters.number("step_state", "lr_scale", lr_scale, minimum=0))
    return np.array([number, 1, scale.view(np.uint32)], STATE)


def sgd_momentum(
    w: Any, v: Any, dw: Any, *, lr: float, momentum: float, weight_decay: float, w_bf16: Any = None, state: Any = None
) -> None:
    """One update in place: `v = momentum*v - weight_decay*lr*w - lr*dw`, then `w += v`.

    w, v, dw: any one shape, float32 (or float64): weights, momentum and gradient of the minibatch's mean loss.
    lr: learning rate; momentum in [0, 1]; weight_decay per step. w_bf16: a bfloat16 copy of w to refresh, or None.
    state: a `step_state` array whose lr_scale multiplies lr and whose ok = 0 turns the update off, or None.

    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    Source: the paper, section 5.
    """
    gate = Gate("sgd_momentum")
    w = gate.array("w", w, (FLOAT32, FLOAT64), writable=True)
    v = gate.array("v", v, w.dtype, w.shape, writable=True)
    dw = gate.array("dw", dw, w.dtype, w.shape)
    w_bf16, state = optional_arrays(gate, w.shape, w_bf16, state)
    rates = rates_of(gate, lr, momentum, weight_decay)
    gate.run(w, v, dw, **rates, w_bf16=w_bf16, state=state)


def optional_arrays(gate: Gate, shape: tuple[int, ...], w_bf16: Any, state: Any) -> tuple[Array | None, Array | None]:
    """The copy to refresh and the step state that an update may be given."""
    if w_bf16 is not None:
        w_bf16 = gate.array("w_bf16", w_bf16, BFLOAT16, shape, writable=True)
    if state is not None:
        state = gate.array("state", state, STATE, (3,))
    return w_bf16, state


def rates_of(gate: Gate, lr: float, momentum: float, weight_decay: float) -> dict[str, float]:
    op = gate.operation
    return {
        "lr": parameters.number(op, "lr", lr, minimum=0),
        "momentum": parameters.number(op, "momentum", momentum, minimum=0, maximum=1),
        "weight_decay": parameters.number(op, "weight_decay", weight_decay, minimum=0),
    }
