"""Local response normalisation, across channels (the paper's) and within one channel's map."""

from typing import Any

from . import parameters
from .arrays import FLOATS, Array, Gate


def _constants(op: str, size: int, alpha: float, beta: float, k: float) -> dict[str, Any]:
    # k > 0 (in float32 too) and alpha >= 0 keep the scale positive, so that its power is a real number.
    return {
        "size": parameters.integer(op, "size", size, minimum=1),
        "alpha": parameters.number(op, "alpha", alpha, minimum=0),
        "beta": parameters.number(op, "beta", beta),
        "k": parameters.number(op, "k", k, minimum=parameters.FLOAT32_SMALLEST),
    }


def lrn(
    x: Any, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, groups: int = 1,
    out: Any = None,
) -> Array:  # fmt: skip
    """Normalise each activation by its neighbours in other channels: `y = x / (k + alpha * sum x^2)^beta`.

    x: [C, H, W, N]; returns the same shape and dtype. The sum runs over `size` channels from `c - size//2` on, cut
    off at the ends of the channel's group; groups=2 keeps windows inside a tower when both towers are in x.
    alpha is *not* divided by size: Caffe, PyTorch and ONNX divide, so their alpha is `size` times this one.

    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    Source: the paper, section 3.3, with k=2, n=5, alpha=1e-4, beta=0.75.
    """
    gate = Gate("lrn")
    x = gate.array("x", x, FLOATS, "CHWN")
    constants = _constants(gate.operation, size, alpha, beta, k)
    groups = parameters.groups(gate.operation, groups, {"channels": x.shape[0]})
    y = gate.output("out", out, x.shape, x.dtype)
    return gate.run(x, **constants, groups=groups, out=y)


def lrn_backward(
    x: Any, dy: Any, *, size: int, alpha: float, beta: float, k: float, groups: int, out: Any = None
) -> Array:
    """Gradient of `lrn`: `dx_i = dy_i s_i^-beta - 2 alpha beta x_i sum_{j: i in window(j)} dy_j x_j s_j^(-beta-1)`.

    x, dy: [C, H, W, N]; s is the scale `k + alpha * sum x^2`, computed again from x. Returns dx of the same shape
    and dtype. Raises as `lrn` does.
    """
    gate = Gate("lrn_backward")
    x = gate.array("x", x, FLOATS, "CHWN")
    dy = gate.array("dy", dy, x.dtype, x.shape)
    constants = _constants(gate.operation, size, alpha, beta, k)
    groups = parameters.groups(gate.operation, groups, {"channels": x.shape[0]})
    dx = gate.output("out", out, x.shape, x.dtype)
    return gate.run(x, dy, **constants, groups=groups, out=dx)


def lrn_within_channel(x: Any, *, size: int = 5, alpha: float, beta: float, k: float, out: Any = None) -> Array:
    """Normalise by the neighbours in the same map: `y = x / (k + alpha * sum x^2)^beta`.

    x: [C, H, W, N]; returns the same shape and dtype. The sum runs over size x size pixels from `size//2` rows above
    and columns left of the pixel on, cut off at the edges. alpha is not divided by size*size.
    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    Source: the same-map norm of the released 2012 source (config #145, layer rnorm), with
    alpha 0.001/25, beta 0.75 and k 2.
    """
    gate = Gate("lrn_within_channel")
    x = gate.array("x", x, FLOATS, "CHWN")
    constants = _constants(gate.operation, size, alpha, beta, k)
    y = gate.output("out", out, x.shape, x.dtype)
    return gate.run(x, **constants, out=y)


def lrn_within_channel_backward(
    x: Any, dy: Any, *, size: int, alpha: float, beta: float, k: float, out: Any = None
) -> Array:
    """Gradient of `lrn_within_channel`, the form of `lrn_backward` with windows of pixels.

    x, dy: [C, H, W, N]. Returns dx of the same shape and dtype. Raises as `lrn_within_channel` does.
    """
    gate = Gate("lrn_within_channel_backward")
    x = gate.array("x", x, FLOATS, "CHWN")
    dy = gate.array("dy", dy, x.dtype, x.shape)
    constants = _constants(gate.operation, size, alpha, beta, k)
    dx = gate.output("out", out, x.shape, x.dtype)
    return gate.run(x, dy, **constants, out=dx)
