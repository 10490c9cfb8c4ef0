"""The one place where other libraries' image layout [N, C, H, W] becomes ours and back, by a copy."""

from typing import Any

from .arrays import FLOATS, Array, Gate


def _transposed(op: str, dims: str, axes: tuple[int, ...], x: Any, out: Any) -> Array:
    gate = Gate(op)
    x = gate.array("x", x, FLOATS, dims)
    y = gate.output("out", out, tuple(x.shape[axis] for axis in axes), x.dtype)
    with gate.without_kernels():
        y[...] = x.transpose(axes)
    return gate.results(y)


def from_nchw(x: Any, *, out: Any = None) -> Array:
    """[N, C, H, W] -> [C, H, W, N]; of filters, [K, C, R, S] -> [C, R, S, K].

    Raises TypeError, ValueError or DeviceError for arrays that do not fit.
    """
    return _transposed("from_nchw", "NCHW", (1, 2, 3, 0), x, out)


def to_nchw(x: Any, *, out: Any = None) -> Array:
    """[C, H, W, N] -> [N, C, H, W]; of filters, [C, R, S, K] -> [K, C, R, S].

    Raises TypeError, ValueError or DeviceError for arrays that do not fit.
    """
    return _transposed("to_nchw", "CHWN", (3, 0, 1, 2), x, out)
