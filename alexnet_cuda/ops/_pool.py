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
    gate = Gate("max_pool")
    x = gate.array("x", x, FLOATS, "CHWN")
    where = _windows(gate, x.shape, size, stride, pad, ceil_mode)
    shape = (x.shape[0], *where.outputs, x.shape[3])
    if return_argmax and out is not None and not (isinstance(out, tuple) and len(out) == 2):
        raise gate.error(TypeError, "out", f"a {type(out).__name__}", "a tuple (y, arg)")
    out_y, out_arg = out if return_argmax and out is not None else (out, None)
    arg_dtype = _argmax_dtype(gate, where.size)
    y = gate.output("out", out_y, shape, x.dtype)
    arg = gate.output("arg", out_arg, shape, arg_dtype) if return_argmax else None
    y_result = gate.run(x, size=where.size, stride=where.stride, pad=where.pad, out=y, arg=arg)
    return (y_result, gate.results(arg)) if return_argmax else y_result


def max_pool_backward(
    dy: Any, arg: Any, x_shape: tuple[int, ...], *, size: IntOrPair = 3, stride: IntOrPair = 2, pad: Pad = 0,
    ceil_mode: bool = False, out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `max_pool`: each pixel gets the sum of dy over the windows whose maximum it was.

    dy, arg: [C, P, Q, N], arg as `max_pool` returned it; x_shape: (C, H, W, N); the rest as in `max_pool`.
    Returns dx of x_shape and dy's dtype. Raises as `max_pool` does.
    """
    gate = Gate("max_pool_backward")
    dy = gate.array("dy", dy, FLOATS, "CPQN")
    x_shape = parameters.shape(gate.operation, "x_shape", x_shape, "CHWN")
    where = _windows(gate, x_shape, size, stride, pad, ceil_mode)
    _check_dy(gate, dy, (x_shape[0], *where.outputs, x_shape[3]))
    arg = gate.array("arg", arg, _argmax_dtype(gate, where.size), dy.shape)
    dx = gate.output("out", out, x_shape, dy.dtype)
    return gate.run(dy, arg, size=where.size, stride=where.stride, pad=where.pad, out=dx)


def avg_pool(
    x: Any, *, size: IntOrPair, stride: IntOrPair, pad: Pad = 0, ceil_mode: bool = False, out: Any = None
) -> Array:
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
    dy: Any, x_shape: tuple[int, ...], *, size: IntOrPair, stride: IntOrPair, pad: Pad = 0, ceil_mode: bool = False,
    out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `avg_pool`: each window spreads dy over its pixels in equal parts.

    dy: [C, P, Q, N]; x_shape: (C, H, W, N); the rest as in `avg_pool`. Returns dx of x_shape and dy's dtype.
    Raises as `max_pool` does.
    """
    gate = Gate("avg_pool_backward")
    dy = gate.array("dy", dy, FLOATS, "CPQN")
    x_shape = parameters.shape(gate.operation, "x_shape", x_shape, "CHWN")
    where = _windows(gate, x_shape, size, stride, pad, ceil_mode)
    _check_dy(gate, dy, (x_shape[0], *where.outputs, x_shape[3]))
    dx = gate.output("out", out, x_shape, dy.dtype)
    return gate.run(dy, size=where.size, stride=where.stride, pad=where.pad, out=dx)


def min_pool(
    x: Any, *, size: IntOrPair = 3, stride: IntOrPair = 2, pad: Pad = 0, ceil_mode: bool = False,
    return_argmax: bool = True, out: Any = None,
) -> Any:  # fmt: skip
    """Minimum over windows: `-max_pool(-x)`, with `max_pool`'s parameters, results and errors.

    Its gradient is `max_pool_backward` with the arg returned here: the two signs cancel.
    """
    negated = -Gate("min_pool").array("x", x, FLOATS, "CHWN")
    result = max_pool(
        negated, size=size, stride=stride, pad=pad, ceil_mode=ceil_mode, return_argmax=return_argmax, out=out
    )
    y = result[0] if return_argmax else result
    y *= -1
    return result


def global_avg_pool(x: Any, *, out: Any = None) -> Array:
    """Mean of each map: `avg_pool` with one window as large as the image. x: [C, H, W, N]; returns [C, 1, 1, N]."""
    image = Gate("global_avg_pool").array("x", x, FLOATS, "CHWN").shape[1:3]
    return avg_pool(x, size=image, stride=1, out=out)


def _check_dy(gate: Gate, dy: Array, expected: tuple[int, ...]) -> None:
    if dy.shape != expected:
        raise gate.error(
            ValueError, "dy", f"shape {list(dy.shape)}", f"shape {list(expected)}, that of the forward result"
        )
