"""Matrix product: the fully connected layers, their gradients, and the update of their weights along with it."""

from typing import Any

from . import parameters
from ._sgd import optional_arrays, rates_of
from .arrays import BFLOAT16, FLOAT32, FLOATS, Array, Gate, accumulator


def gemm(
    a: Any, b: Any, *, trans_a: bool = False, trans_b: bool = False, alpha: float = 1, beta: float = 0,
    bias: Any = None, relu: bool = False, out_dtype: Any = None, out: Any = None, workspace: Any = None,
) -> Array:  # fmt: skip
    """`c = relu(alpha * op(a) @ op(b) + beta * out + bias[:, None])`, with `op` transposing where asked.

    a: [M, K], or [K, M] with trans_a; b: [K, N], or [N, K] with trans_b; bias: [M], one per row, float32 where a is
    bfloat16. Returns c [M, N] of out_dtype (default a's dtype; bfloat16 inputs may ask for float32).
    beta: not 0 reads `out`, which must then be given. relu: clamp negative results to 0; NaN stays NaN.

    With weights [inputs, outputs] and activations [features, N] a fully connected layer is `gemm(w, x,
    trans_a=True, bias=b)`, its input gradient `gemm(w, dy)`, its weight gradient `gemm(x, dy, trans_b=True)`.
    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    """
    gate = Gate("gemm")
    flags = {"trans_a": trans_a, "trans_b": trans_b, "relu": relu}
    flags = {name: parameters.flag(gate.operation, name, value) for name, value in flags.items()}
    a = gate.array("a", a, FLOATS, "KM" if trans_a else "MK")
    b = gate.array("b", b, a.dtype, "NK" if trans_b else "KN")
    M, K = a.shape[::-1] if trans_a else a.shape
    K_b, N = b.shape[::-1] if trans_b else b.shape
    if K_b != K:
        shape = f"[N, {K}]" if trans_b else f"[{K}, N]"
        raise gate.error(ValueError, "b", f"shape {list(b.shape)}", f"{shape} to follow a of shape {list(a.shape)}")
    if bias is not None:
        bias = gate.array("bias", bias, accumulator(a.dtype), (M,))
    alpha = parameters.number(gate.operation, "alpha", alpha)
    beta = parameters.number(gate.operation, "beta", beta)
    if beta != 0 and out is None:
        raise gate.error(ValueError, "beta", beta, "0 without out", "pass out= with the matrix to add")
    widths = (a.dtype, FLOAT32) if a.dtype == BFLOAT16 else (a.dtype,)
    dtype = a.dtype if out_dtype is None else parameters.dtype(gate.operation, "out_dtype", out_dtype, widths)
    workspace = gate.workspace(workspace)
    c = gate.output("out", out, (M, N), dtype)
    return gate.run(a, b, bias, alpha=alpha, beta=beta, out=c, workspace=workspace, **flags)


def gemm_sgd(
    x: Any, dy: Any, w: Any, v: Any, *, lr: float, momentum: float, weight_decay: float, w_bf16: Any = None,
    state: Any = None, workspace: Any = None,
) -> None:  # fmt: skip
    """The update of a fully connected layer's weights, in place: `sgd_momentum` of the gradient `dw = x @ dy.T`.

    x: [inputs, N]; dy: [outputs, N]; w, v: [inputs, outputs], float32 where x is bfloat16. The rest is that of
    `sgd_momentum`. workspace: uint8 of `ops.workspace_bytes("gemm_sgd", ...)` bytes for backends that need one.

    Where `ops.is_fused` says so dw is never written: 18 bytes a weight move instead of 26. The bits are those of
    `gemm(x, dy, trans_b=True)` of w's dtype followed by `sgd_momentum`.

    The layer's input gradient reads w, or w_bf16, as it was before: compute it first.
    Raises TypeError, ValueError or DeviceError for arrays or parameters that do not fit.
    Source: the paper, section 5.
    """
    gate = Gate("gemm_sgd")
    x = gate.array("x", x, FLOATS, ("inputs", "N"))
    dy = gate.array("dy", dy, x.dtype, ("outputs", x.shape[1]))
    shape = (x.shape[0], dy.shape[0])
    w = gate.array("w", w, accumulator(x.dtype), shape, writable=True)
    v = gate.array("v", v, w.dtype, shape, writable=True)
    w_bf16, state = optional_arrays(gate, shape, w_bf16, state)
    rates = rates_of(gate, lr, momentum, weight_decay)
    workspace = gate.workspace(workspace)
    gate.run(x, dy, w, v, **rates, w_bf16=w_bf16, state=state, workspace=workspace)
