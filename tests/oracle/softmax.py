"""Softmax and its cross-entropy, one image at a time, with correctly rounded sums."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry import Array, f64


def softmax(logits: ArrayLike) -> Array:
    """p_i = e^l_i / sum_j e^l_j for each column of [classes, N]; a column with NaN or +inf becomes NaN."""
    logits = f64(logits)
    p = np.zeros(logits.shape)
    for n in range(logits.shape[1]):
        column = logits[:, n].tolist()
        top = max(column)
        powers = [math.exp(value - top) for value in column]
        p[:, n] = np.array(powers) / math.fsum(powers)
    return p


def _minus_log_p(column: list[float], label: int) -> float:
    """-log p_label = l_top - l_label + log(1 + sum_{j != top} e^(l_j - l_top))."""
    top = max(range(len(column)), key=column.__getitem__)
    others = [math.exp(value - column[top]) for j, value in enumerate(column) if j != top]
    return column[top] - column[label] + math.log1p(math.fsum(others))


def _rank(column: list[float], label: int) -> float:
    """#(l > l_t) + #(l == l_t and index < t); infinite when the column holds NaN."""
    if any(math.isnan(value) for value in column):
        return math.inf
    target = column[label]
    return sum(value > target or (value == target and j < label) for j, value in enumerate(column))


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, topk: Sequence[int] = (1, 5)
) -> tuple[float, NDArray[np.int32], Array]:
    """(loss, correct, dlogits) over the M images with label >= 0; label -1 is padding and has a zero column.

    loss = sum_n -log p_label / M, 0 if M = 0;  correct[i] = number of images with rank < topk[i];
    dlogits_i = p_i / M for i != label, and -(sum of the other p) / M at the label.
    Values that are not finite are computed, not refused: what to do about them is the caller's contract.
    """
    logits, labels = f64(logits), np.asarray(labels)
    classes, images = logits.shape
    if labels.shape != (images,) or any(not -1 <= label < classes for label in labels.tolist()):
        raise ValueError(f"labels must be {images} integers in [-1, {classes})")
    counted = [n for n in range(images) if labels[n] >= 0]
    losses, correct = [], np.zeros(len(topk), dtype=np.int32)
    p, dlogits = softmax(logits), np.zeros(logits.shape)
    for n in counted:
        label, column = int(labels[n]), logits[:, n].tolist()
        losses.append(_minus_log_p(column, label))
        for i, k in enumerate(topk):
            correct[i] += _rank(column, label) < k
        for i in range(classes):
            dlogits[i, n] = p[i, n] / len(counted)
        dlogits[label, n] = -math.fsum(p[i, n] for i in range(classes) if i != label) / len(counted)
    return (math.fsum(losses) / len(counted) if counted else 0.0), correct, dlogits
