"""Convolution: forward, the gradient of its input (dgrad), of its filters (wgrad) and of its bias, and the update of
its filters and bias along with their gradients."""

from typing import Any

from . import geometry, parameters
from ._sgd import optional_arrays, rates_of
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


def conv2d_wgrad_db(
    x: Any, dy: Any, w_shape: tuple[int, ...], *, stride: IntOrPair, pad: Pad, groups: int, ceil_mode: bool,
    out: Any = None, workspace: Any = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Both gradients of a convolution's parameters: `(conv2d_wgrad(x, dy, ...), bias_grad(dy))`.

    Tensor cores sum db along with dw, without reading dy again and in another order than `bias_grad`; elsewhere the
    bits are those of the two operations. Returns (dw, db) of w_shape and [K], float32 where x is bfloat16. out: a tuple
    of two arrays. workspace: uint8 of `ops.workspace_bytes("conv2d_wgrad_db", ...)` bytes for backends that need one.
    The other arguments are those of `conv2d_wgrad`. Raises as `conv2d` does, and TypeError for an out that is no tuple.
    """
    gate = Gate("conv2d_wgrad_db")
    x = gate.array("x", x, FLOATS, "CHWN")
    w_shape = parameters.shape(gate.operation, "w_shape", w_shape, "CRSK")
    where = _windows(gate, x.shape, w_shape, stride, pad, groups, ceil_mode, w_name="w_shape")
    dy = gate.array("dy", dy, x.dtype, (w_shape[3], *where.outputs, x.shape[3]))
    if out is not None and not (isinstance(out, tuple) and len(out) == 2):
        raise gate.error(TypeError, "out", f"a {type(out).__name__}", "a tuple (dw, db)")
    dw_out, db_out = out or (None, None)
    workspace = gate.workspace(workspace)
    dw = gate.output("dw", dw_out, w_shape, accumulator(x.dtype))
    db = gate.output("db", db_out, w_shape[3:], dw.dtype)
    results: tuple[Array, Array] = gate.run(
        x, dy, stride=where.stride, pad=where.pad, groups=groups, out=(dw, db), workspace=workspace
    )
    return results


def conv2d_wgrad_sgd(
    x: Any, dy: Any, w: Any, v: Any, *, stride: IntOrPair, pad: Pad, groups: int, ceil_mode: bool, lr: float,
    momentum: float, weight_decay: float, w_bf16: Any = None, b: Any = None, b_v: Any = None,
    b_lr: float | None = None, b_weight_decay: float | None = None, state: Any = None, workspace: Any = None,
) -> None:  # fmt: skip
    """The update of a convolution's filters and bias, in place: `sgd_momentum` of each with its gradient.

    x: [C, H, W, N]; dy: [K, P, Q, N]; stride to ceil_mode as `conv2d` had them. w, v: [C/groups, R, S, K], b, b_v: [K]
    or None to leave the bias alone, float32 where x is bfloat16: weights and momenta. The rest is that of
    `sgd_momentum`; b_lr, b_weight_decay: the bias's, by default those of w. workspace: uint8 of
    `ops.workspace_bytes("conv2d_wgrad_sgd", ...)` bytes for backends that need one.

    Where `ops.is_fused` says so the gradient of the filters is never written. The bits are those of `conv2d_wgrad_db`
    followed by `sgd_momentum` twice, or without a bias those of `conv2d_wgrad` and `sgd_momentum`.

    The layer's `conv2d_dgrad` reads w, or w_bf16, as it was before: compute that first.
    Raises as `conv2d` does, and ValueError for rates that do not fit or b without b_v.
    Source: the paper, section 5.
    """
    gate = Gate("conv2d_wgrad_sgd")
    x = gate.array("x", x, FLOATS, "CHWN")
    w = gate.array("w", w, accumulator(x.dtype), "CRSK", writable=True)
    where = _windows(gate, x.shape, w.shape, stride, pad, groups, ceil_mode)
    dy = gate.array("dy", dy, x.dtype, (w.shape[3], *where.outputs, x.shape[3]))
    v = gate.array("v", v, w.dtype, w.shape, writable=True)
    if (b is None) != (b_v is None):
        missing = "b" if b is None else "b_v"
        raise gate.error(ValueError, missing, "None", "both b and its momentum b_v, or neither")
    if b is not None:
        b = gate.array("b", b, w.dtype, w.shape[3:], writable=True)
        b_v = gate.array("b_v", b_v, w.dtype, w.shape[3:], writable=True)
    w_bf16, state = optional_arrays(gate, w.shape, w_bf16, state)
    rates = rates_of(gate, lr, momentum, weight_decay)
    op = gate.operation
    rates["b_lr"] = rates["lr"] if b_lr is None else parameters.number(op, "b_lr", b_lr, minimum=0)
    decay = rates["weight_decay"]
    if b_weight_decay is not None:
        decay = parameters.number(op, "b_weight_decay", b_weight_decay, minimum=0)
    rates["b_weight_decay"] = decay
    workspace = gate.workspace(workspace)
    gate.run(
        x, dy, w, v, b, b_v, stride=where.stride, pad=where.pad, groups=groups, **rates, w_bf16=w_bf16, state=state,
        workspace=workspace,
    )  # fmt: skip
