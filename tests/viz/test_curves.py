"""The learning curve: what it says and draws, and that nothing of matplotlib is loaded or changed before."""

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from alexnet_cuda.train.metrics import MetricsFile
from alexnet_cuda.viz.curves import SMOOTH, learning_curve


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


def run(path, epochs, steps, validation=True):
    file = MetricsFile(path, pytest.fail)
    file.append("run", step=0, net="alexnet_mini")
    for step in range(1, epochs * steps + 1):
        file.append("train", step=step, epoch=step / steps, loss=2.3 / (1 + step), top1=0.5, top5=0.9)
        if validation and step % steps == 0:
            epoch = step // steps
            top1 = 0.8 if epoch == 2 else 0.7
            file.append("validation", step=step, epoch=float(epoch), loss=1.0, top1=top1, top5=top1 + 0.1)
    file.close()
    return path


def line_of(axes, label):
    return next(line for line in axes.lines if line.get_label() == label)


def test_loss_and_error_over_the_epochs(tmp_path, drawn):
    out = learning_curve(run(tmp_path / "metrics.jsonl", 3, 4), tmp_path / "curve.png")
    loss, error = drawn[0].axes
    assert drawn[0].get_suptitle() == "alexnet_mini: lowest top-1 error 20.0% (top-5 10.0%) after 2 epochs"
    np.testing.assert_allclose(line_of(loss, "training").get_xdata(), np.arange(1, 13) / 4)
    np.testing.assert_allclose(line_of(loss, "training").get_ydata(), 2.3 / np.arange(2, 14))
    np.testing.assert_allclose(line_of(loss, "validation").get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(line_of(error, "top-1").get_ydata(), [30, 20, 30])
    np.testing.assert_allclose(line_of(error, "top-5").get_ydata(), [20, 10, 20])
    assert "%" in error.get_ylabel() and "epochs" in error.get_xlabel() and "nats" in loss.get_ylabel()
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10  # more than an empty frame


@pytest.mark.parametrize(("top1", "top5"), [(0.998, 1.0), (0.5, 0.502), (0.0, 0.01), (1.0, 1.0)])
def test_labels_of_the_last_values_are_inside_the_axes_and_apart(tmp_path, drawn, top1, top5):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for epoch in range(1, 21):
        file.append("train", step=epoch, epoch=epoch + 0.5, loss=2.3 / epoch)
        at = epoch / 20
        file.append("validation", step=epoch, epoch=float(epoch), loss=1.0, top1=at * top1, top5=at * top5)
    file.close()
    learning_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    loss, error = drawn[0].axes
    assert loss.get_xlim() == error.get_xlim() and loss.get_xlim()[1] > 20.5
    frame = error.get_window_extent()
    low, high = (text.get_window_extent() for text in reversed(error.texts))
    if low.y0 > high.y0:
        low, high = high, low
    assert low.y1 <= high.y0 + 1
    for box in (low, high):
        assert frame.x0 < box.x0 and box.x1 <= frame.x1 and frame.y0 < box.y0 and box.y1 <= frame.y1


def test_without_validation_there_is_one_panel(tmp_path, drawn):
    learning_curve(run(tmp_path / "metrics.jsonl", 2, 3, validation=False), tmp_path / "curve.png")
    assert len(drawn[0].axes) == 1 and drawn[0].get_suptitle() == "alexnet_mini"


def test_long_runs_are_smoothed_over_the_measured_points(tmp_path, drawn):
    learning_curve(run(tmp_path / "metrics.jsonl", 5, 100), tmp_path / "curve.png")
    loss = drawn[0].axes[0]
    smooth, measured = line_of(loss, "training"), loss.lines[0]
    assert len(measured.get_xdata()) == 500 and len(smooth.get_xdata()) == SMOOTH
    assert smooth.get_xdata()[0] == pytest.approx(np.mean(np.arange(1, 6)) / 100)


def test_a_loss_that_was_not_finite_is_a_gap(tmp_path, drawn):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    for step, loss in enumerate((2.3, math.nan, math.inf, 2.0), start=1):
        file.append("train", step=step, epoch=step / 4, loss=loss)
    learning_curve(path, tmp_path / "curve.png")
    assert drawn[0].axes[0].get_ylim()[1] < 3


def test_nothing_to_draw(tmp_path):
    MetricsFile(tmp_path / "metrics.jsonl").append("run", step=0, net="mini")
    with pytest.raises(ValueError, match="no line of a training step"):
        learning_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()


def test_matplotlib_comes_late_and_without_pyplot(tmp_path):
    path = run(tmp_path / "metrics.jsonl", 1, 2)
    code = (
        "import sys; from alexnet_cuda.viz.curves import learning_curve; before = 'matplotlib' in sys.modules; "
        "learning_curve(*sys.argv[1:]); print(before, 'matplotlib.pyplot' in sys.modules)"
    )
    run_it = [sys.executable, "-c", code, str(path), str(tmp_path / "curve.png")]
    ended = subprocess.run(run_it, capture_output=True, text=True)
    assert ended.stdout == "False False\n", ended.stderr
