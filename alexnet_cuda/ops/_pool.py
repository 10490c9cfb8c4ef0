"""Pooling: maximum (with the position it came from) and average; minimum and global average are compositions."""

from typing import Any

import numpy as np

from . import geometry, parameters
from .arrays import FLOATS, Array, Gate
from .geometry import IntOrPair, Pad, Windows


def _windows(
    gate: Gate, x_shape: tuple[int, ...], size: IntOrPair, stride: IntOrPair, pad: Pad, ceil_mode: bool
) -> Windows:
    sizes = parameters.pair(gate.operation, "size", size, minimum=1)
    return geometry.windows(gate.operation, (x_shape[1], x_shape[2]), sizes, stride, pad, ceil_mode)


def _argmax_dtype(gate: Gate, size: tuple[int, int]) -> np.dtype:
    taps = size[0] * size[1]
    if taps > 1 << 16:
        raise gate.error(ValueError, "size", f"{size}, {taps} positions", "at most 65536 positions in a window")
    return np.dtype(np.uint8 if taps <= 256 else np.uint16)


def max_pool(
    x: Any, *, size: IntOrPair = 3, stride: IntOrPair = 2, pad: Pad = 0, ceil_mode: bool = False,
    return_argmax: bool = True, out: Any = None,
) -> Any:  # fmt: skip
    """Maximum over windows of `size`; padding and what lies past the edge count as nothing.

    x: [C, H, W, N]; size, stride, pad in pixels, integers or (vertical, horizontal) pairs.
    Returns (y, arg), or y alone with return_argmax=False. y: [C, P, Q, N] of x's dtype; arg: the position r*S + s of
    the first maximum within its window, uint8 (uint16 for windows of more than 256). NaN wins over every number.
    out: a tuple (y, arg), or y alone with return_argmax=False.

    Raises TypeError, ValueError or DeviceError for arrays that do not fit, and ValueError for a window larger than
    the padded image or without a pixel. Source: the paper, section 3.4 (overlapping, 3/2); 2012 rounds up.
    """
    return _extreme_pool("max_pool", x, size, stride, pad, ceil_mode, return_argmax, out)


def min_pool(
    x: Any, *, size: IntOrPair = 3, stride: IntOrPair = 2, pad: Pad = 0, ceil_mode: bool = False,
    return_argmax: bool = True, out: Any = None,
) -> Any:  # fmt: skip
    """Minimum over windows: `-max_pool(-x)`, with `max_pool`'s parameters.

    Returns (y, arg) or y as `max_pool` does. The gradient is `max_pool_backward` with this arg: the two signs cancel.
    Raises as `max_pool` does.
    """
    return _extreme_pool("min_pool", x, size, stride, pad, ceil_mode, return_argmax, out)


def _extreme_pool(
    op: str, x: Any, size: IntOrPair, stride: IntOrPair, pad: Pad, ceil_mode: bool, return_argmax: bool, out: Any
) -> Any:
    gate = Gate(op)
    x = gate.array("x", x, FLOATS, "CHWN")
    where = _windows(gate, x.shape, size, stride, pad, ceil_mode)
    shape = (x.shape[0], *where.outputs, x.shape[3])
    return_argmax = parameters.flag(op, "return_argmax", return_argmax)
    if return_argmax and out is not None and not (isinstance(out, tuple) and len(out) == 2):
        raise gate.error(TypeError, "out", f"a {type(out).__name__}", "a tuple (y, arg)")
    out_y, out_arg = out if return_argmax and out is not None else (out, None)
    arg_dtype = _argmax_dtype(gate, where.size)
    y = gate.output("out", out_y, shape, x.dtype)
    arg = gate.output("arg", out_arg, shape, arg_dtype) if return_argmax else None
    sign = -1 if op == "min_pool" else 1
    if sign == -1:
        with gate.without_kernels():
            x = -x
    gate.run_as("max_pool", x, size=where.size, stride=where.stride, pad=where.pad, out=y, arg=arg)
    if sign == -1:
        with gate.without_kernels():
            y *= sign
    return gate.results((y, arg)) if return_argmax else gate.results(y)


def max_pool_backward(
    dy: Any, arg: Any, x_shape: tuple[int, ...], *, size: IntOrPair, stride: IntOrPair, pad: Pad, ceil_mode: bool,
    out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `max_pool`: each pixel gets the sum of dy over the windows whose maximum it was.

    dy, arg: [C, P, Q, N], arg as `max_pool` returned it; x_shape: (C, H, W, N); the rest as `max_pool` had them.
    Returns dx of x_shape and dy's dtype. Raises as `max_pool` does; for NumPy arrays also ValueError for an arg that is
    no position in a window.
    """
    gate = Gate("max_pool_backward")
    x_shape = parameters.shape(gate.operation, "x_shape", x_shape, "CHWN")
    where = _windows(gate, x_shape, size, stride, pad, ceil_mode)
    dy = gate.array("dy", dy, FLOATS, (x_shape[0], *where.outputs, x_shape[3]))
    arg = gate.array("arg", arg, _argmax_dtype(gate, where.size), dy.shape)
    positions = where.size[0] * where.size[1]
    if gate.at_once and arg.max() >= positions:
        raise gate.error(ValueError, "arg", arg.max(), f"positions up to {positions - 1}, as max_pool returned them")
    dx = gate.output("out", out, x_shape, dy.dtype)
    return gate.run(dy, arg, size=where.size, stride=where.stride, pad=where.pad, out=dx)


def avg_pool(x: Any, *, size: IntOrPair, stride: IntOrPair, pad: Pad, ceil_mode: bool, out: Any = None) -> Array:
    """Mean over windows of `size`; the divisor is the number of pixels inside the image.

    x: [C, H, W, N]; size, stride, pad as in `max_pool`. Returns [C, P, Q, N] of x's dtype. Raises as `max_pool` does.
    Source: cuda-convnet's average pooling, whose divisor leaves padding out.
    """
    gate = Gate("avg_pool")
    x = gate.array("x", x, FLOATS, "CHWN")
    where = _windows(gate, x.shape, size, stride, pad, ceil_mode)
    y = gate.output("out", out, (x.shape[0], *where.outputs, x.shape[3]), x.dtype)
    return gate.run(x, size=where.size, stride=where.stride, pad=where.pad, out=y)


def avg_pool_backward(
    dy: Any, x_shape: tuple[int, ...], *, size: IntOrPair, stride: IntOrPair, pad: Pad, ceil_mode: bool,
    out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `avg_pool`: each window spreads dy over its pixels in equal parts.

    dy: [C, P, Q, N]; x_shape: (C, H, W, N); the rest as in `avg_pool`. Returns dx of x_shape and dy's dtype.
    Raises as `max_pool` does.
    """
    gate = Gate("avg_pool_backward")
    x_shape = parameters.shape(gate.operation, "x_shape", x_shape, "CHWN")
    where = _windows(gate, x_shape, size, stride, pad, ceil_mode)
    dy = gate.array("dy", dy, FLOATS, (x_shape[0], *where.outputs, x_shape[3]))
    dx = gate.output("out", out, x_shape, dy.dtype)
    return gate.run(dy, size=where.size, stride=where.stride, pad=where.pad, out=dx)


def global_avg_pool(x: Any, *, out: Any = None) -> Array:
    """Mean of each map: `avg_pool` with one window as large as the image.

    x: [C, H, W, N]. Returns [C, 1, 1, N] of x's dtype. Raises as `max_pool` does.
    """
    gate = Gate("global_avg_pool")
    x = gate.array("x", x, FLOATS, "CHWN")
    y = gate.output("out", out, (x.shape[0], 1, 1, x.shape[3]), x.dtype)
    gate.run_as("avg_pool", x, size=x.shape[1:3], stride=(1, 1), pad=(0, 0), out=y)
    return gate.results(y)
