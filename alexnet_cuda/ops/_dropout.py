"""Dropout with counter-based randomness: the mask is a function of where an element is, never stored."""

from typing import Any

import numpy as np

from . import parameters
from .arrays import FLOATS, Array, Gate
from .parameters import UINT32_MAX

_STEP_DTYPES = tuple(np.dtype(t) for t in (np.uint32, np.int32, np.int64, np.uint64))


def dropout(
    x: Any, *, keep: float, seed: int, step: Any, layer: int, first_row: int = 0, first_image: int = 0,
    inverted: bool = True, out: Any = None,
) -> Array:  # fmt: skip
    """Keep each element with probability `keep`, set the others to 0.

    x: [features, N] or [C, H, W, N] (feature = flat position of c, h, w); returns the same shape and dtype.
    A mask bit is a function of (seed, step, layer, feature, image) alone: Philox4x32-10 with the seed as key and
    the counter (image >> 2, feature, layer, step), word `image & 3`, kept when below `keep * 2^32`. first_row and
    first_image say where this shard begins, so every split of a batch or of towers draws the same bits.
    seed: 64 bits; step: an integer or an integer array of one element (which a replayed CUDA graph reads anew).
    inverted: scale what is kept by `1 / keep`; False leaves it, and the net is scaled at test time, as in 2012.

    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    Source: the paper, section 4.2 (keep 0.5); Salmon et al., SC 2011, for Philox.
    """
    return _masked("dropout", "x", x, keep, seed, step, layer, first_row, first_image, inverted, out)


def dropout_backward(
    dy: Any, *, keep: float, seed: int, step: Any, layer: int, first_row: int = 0, first_image: int = 0,
    inverted: bool = True, out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `dropout`: the same mask and scale applied to dy. Parameters and errors are those of `dropout`."""
    return _masked("dropout_backward", "dy", dy, keep, seed, step, layer, first_row, first_image, inverted, out)


def _masked(
    op: str, name: str, x: Any, keep: float, seed: int, step: Any, layer: int, first_row: int, first_image: int,
    inverted: bool, out: Any,
) -> Array:  # fmt: skip
    gate = Gate(op)
    x = gate.array(name, x, FLOATS)
    if x.ndim < 2:
        raise gate.error(ValueError, name, f"{x.ndim} dimension", "[features, N] or [C, H, W, N]")
    counters = {
        "seed": parameters.integer(op, "seed", seed, minimum=0, maximum=(1 << 64) - 1),
        "layer": parameters.integer(op, "layer", layer, minimum=0, maximum=UINT32_MAX),
        # The last row and the last image have to be 32-bit numbers too.
        "first_row": parameters.integer(
            op, "first_row", first_row, minimum=0, maximum=UINT32_MAX + 1 - x.size // x.shape[-1]
        ),
        "first_image": parameters.integer(
            op, "first_image", first_image, minimum=0, maximum=UINT32_MAX + 1 - x.shape[-1]
        ),
    }
    step = _step(gate, step)
    inverted = parameters.flag(op, "inverted", inverted)
    keep = parameters.number(op, "keep", keep, above=0, maximum=1)
    y = gate.output("out", out, x.shape, x.dtype, may_be_input=True)
    return gate.run(x, keep=keep, step=step, inverted=inverted, out=y, **counters)


def _step(gate: Gate, step: Any) -> Any:
    """An integer, or an array that is left where it is: only the host's can be looked into without waiting."""
    if not hasattr(step, "shape") or isinstance(step, np.generic):
        return parameters.integer(gate.operation, "step", step, minimum=0, maximum=UINT32_MAX)
    step = gate.array("step", step, _STEP_DTYPES)
    if step.size != 1:
        raise gate.error(ValueError, "step", f"{step.size} elements", "one element or an integer")
    if gate.at_once:
        parameters.integer(gate.operation, "step", step.item(), minimum=0, maximum=UINT32_MAX)
    return step
