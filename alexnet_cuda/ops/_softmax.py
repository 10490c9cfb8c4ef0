"""Softmax, and the loss that trains the net: cross-entropy with counts and gradient in one pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import parameters
from ._sgd import STATE
from .arrays import BFLOAT16, FLOAT32, FLOATS, Array, Gate, accumulator

INT32 = np.dtype(np.int32)
PADDING = -1  # the label of an image that only fills up a batch


def softmax(logits: Any, *, out: Any = None) -> Array:
    """`p[c, n] = exp(l[c, n]) / sum_c exp(l[c, n])`. logits: [classes, N]; returns the same shape and dtype.

    Raises TypeError, ValueError or DeviceError for arrays that do not fit.
    """
    gate = Gate("softmax")
    logits = gate.array("logits", logits, FLOATS, ("classes", "N"))
    return gate.run(logits, out=gate.output("out", out, logits.shape, logits.dtype))


def softmax_cross_entropy(
    logits: Any, labels: Any, *, topk: Sequence[int] = (1, 5), state: Any = None, dlogits_dtype: Any = None,
    out: Any = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Mean of `-log softmax(logits)[label]`, how many images are right, and the gradient of the loss.

    logits: [classes, N]; labels: int32 [N], -1 for padding: no loss, no count, zero gradient.
    Returns (loss, correct, dlogits). loss: one value, the mean over images with a label (0 if there are none), float32
    where logits are bfloat16. correct: int32 [len(topk)], the images whose label has rank < k, where the rank is the
    number of classes with a larger logit, or an equal one and a smaller index; a column with NaN counts as wrong.
    dlogits: [classes, N], the gradient of the loss, of dlogits_dtype (default the logits'; for float32 logits of a net
    that goes on in bfloat16, bfloat16). out: a tuple of three arrays.
    state: a `step_state` array; a loss that is not finite clears its `ok` word instead of raising, and the update
    that reads it does nothing. Logits of padding are never looked at.

    Raises TypeError, ValueError or DeviceError for arguments that do not fit; NumPy backends also ValueError for a
    label outside [-1, classes) and, without state, for a loss that is not finite: on kernels, `check_status` does.
    Source: the paper, section 3.5.
    """
    gate = Gate("softmax_cross_entropy")
    op = gate.operation
    logits = gate.array("logits", logits, FLOATS, ("classes", "N"))
    classes, N = logits.shape
    labels = gate.array("labels", labels, INT32, (N,))
    if not isinstance(topk, (tuple, list)) or not topk:
        kind = ValueError if isinstance(topk, (tuple, list)) else TypeError
        raise gate.error(kind, "topk", repr(topk), "a tuple of integers such as (1, 5)")
    topk = tuple(parameters.integer(op, "topk", k, minimum=1) for k in topk)
    if gate.looks_into_arrays:
        _check_labels(gate, labels, classes)
    if state is not None:
        state = gate.array("state", state, STATE, (3,), writable=True)
    if out is not None and not (isinstance(out, tuple) and len(out) == 3):
        raise gate.error(TypeError, "out", f"a {type(out).__name__}", "a tuple (loss, correct, dlogits)")
    loss_out, correct_out, dlogits_out = out or (None, None, None)
    loss = gate.output("loss", loss_out, (), accumulator(logits.dtype))
    correct = gate.output("correct", correct_out, (len(topk),), INT32)
    widths = (FLOAT32, BFLOAT16) if logits.dtype == FLOAT32 else (logits.dtype,)
    dtype = logits.dtype if dlogits_dtype is None else parameters.dtype(op, "dlogits_dtype", dlogits_dtype, widths)
    dlogits = gate.output("dlogits", dlogits_out, logits.shape, dtype)
    results: tuple[Array, Array, Array] = gate.run(logits, labels, topk=topk, state=state, out=(loss, correct, dlogits))
    return results


def _check_labels(gate: Gate, labels: Array, classes: int) -> None:
    """NumPy backends see labels at once; a kernel notes a bad one for `check_status`."""
    bad = np.flatnonzero((labels < PADDING) | (labels >= classes))
    if bad.size:
        n = int(bad[0])
        wanted = f"0 to {classes - 1}, or {PADDING} for padding"
        raise gate.error(ValueError, "labels", f"{labels[n]} for image {n}", wanted)
