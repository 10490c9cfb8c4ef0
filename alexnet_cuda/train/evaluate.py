"""How good a net is on the images of a split: loss, top-1 and top-5, from the centre crop or from ten views."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np

from ..data.augment import ten_views
from ..data.loader import Batch, Loader
from ..nn.graph import Graph, StepResult
from ..nn.layers import TOPK
from .metrics import Meter


def feed(graph: Graph, batch: Batch) -> None:
    """Hand a loader's batch to a graph."""
    graph.feed(batch.images, batch.labels, batch.offsets, batch.flips, batch.color_shift)


def evaluate(
    graph: Graph, loader: Loader, *, size: int, views: int = 1, after_batch: Callable[[int], bool] = lambda done: True
) -> Meter | None:
    """Means over all images of `loader`, or None where `after_batch(batches done)` said False: stop.

    size: side of the stored images, in pixels; views: 1, the centre crop, or 10, the mean of the probabilities of the
    four corners, the centre and their mirror images (the paper, section 4.1).
    """
    meter = Meter()
    with closing(loader.epoch(0)) as batches:
        for done, batch in enumerate(batches, start=1):
            result = _centre(graph, batch) if views == 1 else _ten_views(graph, batch, size)
            meter.add(result.loss, result.correct, result.images)
            if not after_batch(done):
                return None
    return meter


def _centre(graph: Graph, batch: Batch) -> StepResult:
    feed(graph, batch)
    graph.evaluate()
    return graph.result()


def _ten_views(graph: Graph, batch: Batch, size: int) -> StepResult:
    views = ten_views(size, graph.net.input_shape[1])
    total = np.zeros((graph.net.classes, graph.batch))
    for offset, flip in views:
        offsets = np.tile(np.array(offset, np.int32), (graph.batch, 1))
        graph.feed(batch.images, batch.labels, offsets, np.full(graph.batch, flip, np.uint8))
        graph.evaluate()
        total += softmax(graph.logits())
    return score(total / len(views), batch.labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [classes, N] in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


def score(probabilities: np.ndarray, labels: np.ndarray) -> StepResult:
    """What `ops.softmax_cross_entropy` counts, from probabilities [classes, N]; labels [N], -1 for padding."""
    real = np.flatnonzero(labels >= 0)
    p, wanted = probabilities[:, real], labels[real]
    own = p[wanted, np.arange(len(real))]
    earlier = np.arange(len(p))[:, None] < wanted
    rank = (p > own).sum(axis=0) + ((p == own) & earlier).sum(axis=0)
    correct = [int((np.isfinite(p).all(axis=0) & (rank < k)).sum()) for k in TOPK]
    with np.errstate(divide="ignore"):
        loss = float(-np.log(own).mean()) if len(real) else 0.0
    return StepResult(loss, (correct[0], correct[1]), len(real))
