"""Operations that treat every element alone. Any shape, any layout; `out` may be an input itself."""

from typing import Any

from . import parameters
from .arrays import FLOATS, Array, Gate


def _unary(op: str, x: Any, out: Any) -> Array:
    gate = Gate(op)
    x = gate.array("x", x, FLOATS)
    return gate.run(x, out=gate.output("out", out, x.shape, x.dtype, may_be_input=True))


def _binary(op: str, names: tuple[str, str], first: Any, second: Any, out: Any) -> Array:
    gate = Gate(op)
    first = gate.array(names[0], first, FLOATS)
    second = gate.array(names[1], second, first.dtype, first.shape)
    return gate.run(first, second, out=gate.output("out", out, first.shape, first.dtype, may_be_input=True))


def relu(x: Any, *, out: Any = None) -> Array:
    """`y = x where x > 0, else 0`; NaN stays NaN. Any shape; returns the same shape and dtype.

    Raises TypeError, ValueError or DeviceError for arrays that do not fit. Source: the paper, section 3.1.
    """
    return _unary("relu", x, out)


def relu_backward(dy: Any, y: Any, *, out: Any = None) -> Array:
    """Gradient of `relu` from its output: `dx = dy where y > 0, else 0` (and dy where y is NaN).

    dy, y: one shape and dtype. Raises as `relu` does.
    """
    return _binary("relu_backward", ("dy", "y"), dy, y, out)


def tanh(x: Any, *, out: Any = None) -> Array:
    """Hyperbolic tangent. Any shape; returns the same shape and dtype. Raises as `relu` does."""
    return _unary("tanh", x, out)


def tanh_backward(dy: Any, y: Any, *, out: Any = None) -> Array:
    """Gradient of `tanh` from its output: `dx = dy * (1 - y^2)`. Raises as `relu` does."""
    return _binary("tanh_backward", ("dy", "y"), dy, y, out)


def sigmoid(x: Any, *, out: Any = None) -> Array:
    """`y = 1 / (1 + exp(-x))`. Any shape; returns the same shape and dtype. Raises as `relu` does."""
    return _unary("sigmoid", x, out)


def sigmoid_backward(dy: Any, y: Any, *, out: Any = None) -> Array:
    """Gradient of `sigmoid` from its output: `dx = dy * y * (1 - y)`. Raises as `relu` does."""
    return _binary("sigmoid_backward", ("dy", "y"), dy, y, out)


def add(a: Any, b: Any, *, out: Any = None) -> Array:
    """`a + b`, element by element. a, b: one shape and dtype, which the result has too. Raises as `relu` does."""
    return _binary("add", ("a", "b"), a, b, out)


def scale(x: Any, factor: float, *, out: Any = None) -> Array:
    """`y = factor * x`: what dropout that is not inverted needs at test time, with its `keep` as the factor.

    Any shape; returns the same shape and dtype. factor: a finite number, rounded to float32 unless x is float64.
    Its own gradient: `dx = factor * dy`. Raises as `relu` does. Source: the paper, section 4.2.
    """
    gate = Gate("scale")
    x = gate.array("x", x, FLOATS)
    factor = parameters.number(gate.operation, "factor", factor)
    return gate.run(x, factor=factor, out=gate.output("out", out, x.shape, x.dtype, may_be_input=True))
