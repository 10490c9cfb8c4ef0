"""The learning curve of a run as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..train import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS, ERROR, TOP5 = "#1f4e79", "#c0392b", "#e59866"
SMOOTH = 100  # points at most in the thick training line
LINE = 0.055  # height of a label, as a part of the axes' height
FEW = 20  # fewer are drawn as points too: a line alone hides single ones


def learning_curve(metrics_path: str | os.PathLike[str], out_png: str | os.PathLike[str]) -> Path:
    """Draw the training loss (left) and the validation error (right) over the epochs of a metrics.jsonl.

    Returns the picture's path. Raises ValueError where there is no line of training in the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = metrics.read(metrics_path)
    training = [line for line in lines if line["kind"] == "train"]
    validation = [line for line in lines if line["kind"] == "validation"]
    if not training:
        raise ValueError(f"{metrics_path}: no line of a training step, so there is no curve to draw")
    net = next((str(line["net"]) for line in lines if line["kind"] == "run" and "net" in line), "")

    figure = Figure(
        figsize=(11, 4.5) if validation else (6.5, 4.5), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    )
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, 2 if validation else 1, squeeze=False, sharex=True)[0]
    figure.suptitle(_title(net, validation), fontsize=13)
    _draw_loss(panels[0], training, validation)
    if validation:
        _draw_error(panels[1], validation)
    last = max(line["epoch"] for line in training + validation)
    for axes in panels:
        axes.set_xlabel("epochs (passes over the training images)")
        axes.set_xlim(0, 1.12 * last or None)  # room for the labels of the last values
        axes.grid(True, color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out_png, metadata={"Software": None})
    return Path(out_png)


def _title(net: str, validation: list[dict[str, Any]]) -> str:
    if not validation:
        return net
    best = max(validation, key=lambda line: float(line["top1"]))
    errors = f"lowest top-1 error {1 - best['top1']:.1%} (top-5 {1 - best['top5']:.1%}) after {_epochs(best['epoch'])}"
    return f"{net}: {errors}" if net else errors


def _epochs(count: float) -> str:
    return f"{count:.4g} epoch{'' if count == 1 else 's'}"


def _draw_loss(axes: Axes, training: list[dict[str, Any]], validation: list[dict[str, Any]]) -> None:
    epochs = [line["epoch"] for line in training]
    losses = [line["loss"] for line in training]
    if len(training) > 2 * SMOOTH:
        axes.plot(epochs, losses, color=LOSS, alpha=0.25, linewidth=0.7)
        epochs, losses = _averaged(epochs), _averaged(losses)
    axes.plot(epochs, losses, color=LOSS, label="training", marker="o" if len(epochs) < FEW else "", markersize=3)
    if validation:
        x, y = [line["epoch"] for line in validation], [line["loss"] for line in validation]
        axes.plot(x, y, color=ERROR, label="validation", marker="o", markersize=3)
    axes.set_ylabel("loss (cross-entropy, nats)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _draw_error(axes: Axes, validation: list[dict[str, Any]]) -> None:
    epochs = [line["epoch"] for line in validation]
    ends = []
    for name, label, color in (("top1", "top-1", ERROR), ("top5", "top-5", TOP5)):
        errors = [100 * (1 - line[name]) for line in validation]
        axes.plot(epochs, errors, color=color, marker="o", markersize=3, label=label)
        ends.append((errors[-1], color))
    axes.set_ylabel("validation error (% of the images)")
    axes.set_ylim(0, max(axes.get_ylim()[1], *(1.12 * error for error, _ in ends)))  # both labels fit in
    axes.legend(frameon=False)
    line = LINE * axes.get_ylim()[1]
    lowest = 0.6 * line
    for error, color in reversed(ends):  # from below: each label beside its point, but clear of the one before
        height = max(error, lowest)
        axes.annotate(
            f"{error:.1f}%", (epochs[-1], height), xytext=(5, 0), textcoords="offset points",
            color=color, va="center", fontsize=9,
        )  # fmt: skip
        lowest = height + line


def _averaged(values: Sequence[float]) -> list[float]:
    """At most SMOOTH means of neighbours."""
    size = -(-len(values) // SMOOTH)
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    return [sum(group) / len(group) for group in groups]
