"""Convolution: forward, the gradient of its input (dgrad), of its filters (wgrad) and of its bias."""

from typing import Any

from . import geometry, parameters
from .arrays import FLOATS, Array, Gate, accumulator
from .geometry import IntOrPair, Pad


def _windows(
    gate: Gate, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: IntOrPair, pad: Pad, groups: int,
    ceil_mode: bool, w_name: str = "w",
) -> geometry.Windows:  # fmt: skip
    """Check that image and filters fit each other, and place the windows."""
    op = gate.operation
    (C, H, W, _), (channels, R, S, K) = x_shape, w_shape
    parameters.groups(op, groups, {"channels": C, "filters": K})
    if channels != C // groups:
        wanted = f"[{C // groups}, {R}, {S}, {K}] for {C} image channels in {groups} group(s)"
        raise gate.error(ValueError, w_name, f"shape {list(w_shape)}", wanted)
    return geometry.windows(op, (H, W), (R, S), stride, pad, ceil_mode, size_name=w_name)


def conv2d(
    x: Any, w: Any, b: Any = None, *, stride: IntOrPair = 1, pad: Pad = 0, groups: int = 1,
    ceil_mode: bool = False, relu: bool = False, out: Any = None,
) -> Array:  # fmt: skip
    """Convolve images with filters: `y[k,p,q,n] = b[k] + sum_{c,r,s} x[c, p*sh-top+r, q*sw-left+s, n] * w[c,r,s,k]`.

    x: [C, H, W, N]; w: [C/groups, R, S, K]; b: [K] or None, float32 where x is bfloat16. Returns [K, P, Q, N].
    stride: filter step in pixels; pad: zero pixels on each side, or "valid" or "same"; either may be a
    (vertical, horizontal) pair. groups: filter k sees the channels of group `k // (K/groups)` only.
    ceil_mode: round the number of outputs up, the overhanging windows reading zeros (224 -> 55 in 2012).
    relu: clamp negative results to 0 in the same pass; NaN stays NaN.

    Raises TypeError, ValueError or DeviceError for arrays that do not fit, and ValueError for a filter larger than
    the padded image, a window without a pixel, or groups that do not divide C and K.
    Source: the paper, sections 3.2 and 3.5; two groups are its two GPUs.
    """
    gate = Gate("conv2d")
    x = gate.array("x", x, FLOATS, "CHWN")
    w = gate.array("w", w, x.dtype, "CRSK")
    where = _windows(gate, x.shape, w.shape, stride, pad, groups, ceil_mode)
    relu = parameters.flag(gate.operation, "relu", relu)
    K, N = w.shape[3], x.shape[3]
    if b is not None:
        b = gate.array("b", b, accumulator(x.dtype), (K,))
    y = gate.output("out", out, (K, *where.outputs, N), x.dtype)
    return gate.run(x, w, b, stride=where.stride, pad=where.pad, groups=groups, relu=relu, out=y)


def conv2d_dgrad(
    dy: Any, w: Any, x_shape: tuple[int, ...], *, stride: IntOrPair, pad: Pad, groups: int, ceil_mode: bool,
    relu_y: Any = None, out: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `conv2d` with respect to its input: the adjoint, `dx` with `<dx, x> = <dy, conv2d(x, w)>`.

    dy: [K, P, Q, N]; w: [C/groups, R, S, K]; x_shape: (C, H, W, N); the rest as `conv2d` had them.
    relu_y: [C, H, W, N] or None, the output of a ReLU that made x; dx is set to 0 where it is 0 or negative, which
    saves a `relu_backward`. Returns dx [C, H, W, N] of dy's dtype. Raises as `conv2d` does.
    """
    gate = Gate("conv2d_dgrad")
    w = gate.array("w", w, FLOATS, "CRSK")
    x_shape = parameters.shape(gate.operation, "x_shape", x_shape, "CHWN")
    where = _windows(gate, x_shape, w.shape, stride, pad, groups, ceil_mode)
    dy = gate.array("dy", dy, w.dtype, (w.shape[3], *where.outputs, x_shape[3]))
    if relu_y is not None:
        relu_y = gate.array("relu_y", relu_y, dy.dtype, x_shape)
    dx = gate.output("out", out, x_shape, dy.dtype)
    return gate.run(dy, w, relu_y, stride=where.stride, pad=where.pad, groups=groups, out=dx)


def conv2d_wgrad(
    x: Any, dy: Any, w_shape: tuple[int, ...], *, stride: IntOrPair, pad: Pad, groups: int, ceil_mode: bool,
    out: Any = None, workspace: Any = None,
) -> Array:  # fmt: skip
    """Gradient of `conv2d` with respect to its filters: `dw[c,r,s,k] = sum_{p,q,n} x[c, h, w, n] * dy[k,p,q,n]`.

    x: [C, H, W, N]; dy: [K, P, Q, N]; w_shape: (C/groups, R, S, K); the rest as `conv2d` had them.
    Returns dw of w_shape, float32 where x is bfloat16; a sum over the images, not their mean. workspace: uint8 of
    `ops.workspace_bytes("conv2d_wgrad", ...)` bytes for backends that need one. Raises as `conv2d` does.
    """
    gate = Gate("conv2d_wgrad")
    x = gate.array("x", x, FLOATS, "CHWN")
    w_shape = parameters.shape(gate.operation, "w_shape", w_shape, "CRSK")
    where = _windows(gate, x.shape, w_shape, stride, pad, groups, ceil_mode, w_name="w_shape")
    dy = gate.array("dy", dy, x.dtype, (w_shape[3], *where.outputs, x.shape[3]))
    workspace = gate.workspace(workspace)
    dw = gate.output("out", out, w_shape, accumulator(x.dtype))
    return gate.run(x, dy, stride=where.stride, pad=where.pad, groups=groups, out=dw, workspace=workspace)


def bias_grad(dy: Any, *, out: Any = None, workspace: Any = None) -> Array:
    """Gradient of a bias: dy summed over everything but its first axis.

    dy: [K, P, Q, N] or [K, N]. Returns db [K], float32 where dy is bfloat16. Raises TypeError, ValueError or
    DeviceError for arrays that do not fit.
    """
    gate = Gate("bias_grad")
    dy = gate.array("dy", dy, FLOATS)
    if dy.ndim not in (2, 4):
        raise gate.error(ValueError, "dy", f"{dy.ndim} dimension(s)", "[K, P, Q, N] or [K, N]")
    workspace = gate.workspace(workspace)
    db = gate.output("out", out, dy.shape[:1], accumulator(dy.dtype))
    return gate.run(dy, out=db, workspace=workspace)
