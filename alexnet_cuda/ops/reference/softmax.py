"""Softmax and the loss."""

import numpy as np

from .common import wide


def softmax(logits, *, out):
    logits = wide(logits)
    e = np.exp(logits - logits.max(axis=0))
    out[...] = e / e.sum(axis=0)


def softmax_cross_entropy(logits, labels, *, topk, state, out):
    """Mean of -log softmax(logits)[label] over the images whose label is not -1 (padding)."""
    loss_out, correct_out, dlogits_out = out
    logits = wide(logits)
    valid = labels >= 0
    count = max(int(valid.sum()), 1)
    images = np.arange(labels.size)
    index = np.arange(logits.shape[0])[:, None]
    target = np.where(valid, labels, 0)
    chosen = logits[target, images]

    shifted = logits - logits.max(axis=0)
    e = np.exp(shifted)
    log_p = shifted[target, images] - np.log(e.sum(axis=0))
    gradient = (e / e.sum(axis=0) - (index == target)) / logits.dtype.type(count)
    loss = (-log_p[valid]).sum() / logits.dtype.type(count)

    if not np.isfinite(loss):
        if state is None:
            raise ValueError(_not_finite(logits, labels, log_p))
        state[1] = 0
    rank = ((logits > chosen) | ((logits == chosen) & (index < target))).sum(axis=0)
    countable = valid & ~np.isnan(logits).any(axis=0)
    loss_out[...] = loss
    correct_out[...] = [(countable & (rank < k)).sum() for k in topk]
    dlogits_out[...] = np.where(valid, gradient, 0)


def _not_finite(logits, labels, log_p):
    """What to say of the first image that spoils the loss: a logit that is no number, or a label ruled out."""
    bad_images = np.flatnonzero((labels >= 0) & ~np.isfinite(log_p))
    if not bad_images.size:
        got = "losses whose sum overflows"
    else:
        n = bad_images[0]
        bad_classes = np.flatnonzero(~(logits[:, n] < np.inf))
        c = bad_classes[0] if bad_classes.size else labels[n]
        got = f"{logits[c, n]} at [class {c}, image {n}]" + ("" if bad_classes.size else ", which is its label")
    return (
        f"softmax_cross_entropy: argument 'logits': got {got}, wanted a finite loss; "
        "look for the first layer whose output is not finite, or lower the learning rate"
    )
