"""Cases of softmax and of the loss with its counts and gradient."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ..table import FUNCTION_ROUNDINGS, Arguments, Operation, sample


@dataclass(frozen=True)
class LogitsCase:
    """spread scales the logits; padding is the number of images with label -1."""

    name: str
    classes: int
    N: int
    spread: float = 1.0
    padding: int = 0
    topk: tuple[int, ...] = (1, 5)


CASES = (
    LogitsCase("one class", 1, 3),
    LogitsCase("two classes, one image", 2, 1),
    LogitsCase("ten classes", 10, 16),
    LogitsCase("a short last batch", 10, 16, padding=5),
    LogitsCase("only padding", 7, 4, padding=4),
    LogitsCase("logits in the hundreds", 11, 9, spread=200.0),
    LogitsCase("top 1, 2 and 3", 13, 29, topk=(1, 2, 3)),
    LogitsCase("more ranks than classes", 3, 8, topk=(5,)),
    *(LogitsCase(f"{c} classes", c, 6) for c in (31, 32, 33, 127, 128, 129, 257)),
    *(LogitsCase(f"batch of {n}", 12, n, padding=n // 3) for n in (2, 31, 32, 33, 127, 128, 129, 257)),
    LogitsCase("alexnet_2012 fc8", 1000, 8),
)


def _draw_softmax(case: LogitsCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(values={"logits": case.spread * sample(rng, (case.classes, case.N), values)})


def _draw_loss(case: LogitsCase, rng: np.random.Generator, values: str) -> Arguments:
    arguments = _draw_softmax(case, rng, values)
    labels = rng.integers(0, case.classes, case.N).astype(np.int32)
    labels[case.N - case.padding :] = -1
    return Arguments(values=arguments.values, fixed={"labels": labels, "topk": case.topk})


def _softmax_scale(logits: np.ndarray) -> np.ndarray:
    """exp turns the rounding of its argument, as large as the argument, into a relative error of the result."""
    depth = logits.max(axis=0) - logits
    return ops.softmax(logits) * (1 + depth + (ops.softmax(logits) * depth).sum(axis=0))


def _loss_scales(a: dict[str, Any]) -> tuple[Any, Any, Any]:
    logits, labels = a["logits"], a["labels"]
    valid = labels >= 0
    count = max(valid.sum(), 1)
    target = np.where(valid, labels, 0)
    one_hot = np.arange(logits.shape[0])[:, None] == target
    largest = np.abs(logits).max(axis=0)
    loss = (2 * largest + np.log(logits.shape[0]))[valid].sum() / count
    return loss, 0, np.where(valid, _softmax_scale(logits) + one_hot, 0) / count


OPERATIONS = (
    Operation(
        "softmax",
        ("p",),
        CASES,
        _draw_softmax,
        terms=lambda a: a["logits"].shape[0] + FUNCTION_ROUNDINGS,
        scale=lambda a: _softmax_scale(a["logits"]),
        exact_on_integers=False,
    ),
    Operation(
        "softmax_cross_entropy",
        ("loss", "correct", "dlogits"),
        CASES,
        _draw_loss,
        terms=lambda a: sum(a["logits"].shape) + 2 * FUNCTION_ROUNDINGS,
        scale=_loss_scales,
        exact_on_integers=False,
        sums=("loss",),
    ),
)
