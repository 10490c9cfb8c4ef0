"""What is shown while a run goes: plain lines, the bar of a terminal, and the table at the end."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_cuda.train.metrics import Meter
from alexnet_cuda.train.progress import Progress, duration, show_results


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def meter(loss=0.5, right=80, top5=99, images=100):
    found = Meter()
    found.add(loss, (right, top5), images)
    return found


def test_plain_lines_now_and_then(clock):
    stream = io.StringIO()
    with Progress(epochs=2, steps_per_epoch=50, stream=stream, interval=5, clock=clock) as progress:
        for step in range(1, 51):
            clock.now += 1
            progress.step(step, loss=2.25, top1=0.125, images=128)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "epoch 1/2  step 5/100  loss 2.250  top-1 12.5%  128 images/s  1:35 left"
    assert lines[-1] == "epoch 1/2  step 50/100  loss 2.250  top-1 12.5%  128 images/s  0:50 left"


def test_a_resumed_run_counts_its_own_steps(clock):
    stream = io.StringIO()
    with Progress(epochs=10, steps_per_epoch=100, done=900, stream=stream, interval=5, clock=clock) as progress:
        clock.now += 10
        progress.step(901, loss=1, top1=0.5, images=30)
    assert stream.getvalue() == "epoch 10/10  step 901/1,000  loss 1.000  top-1 50.0%  3.00 images/s  16:30 left\n"


def test_evaluation_counts_into_the_time_left_but_not_into_the_speed(clock):
    stream = io.StringIO()
    with Progress(epochs=2, steps_per_epoch=10, stream=stream, interval=0, clock=clock) as progress:
        for step in range(1, 11):
            clock.now += 1
            progress.step(step, loss=1, top1=0.5, images=100)
        for done in range(1, 11):
            clock.now += 1
            progress.evaluating(done, 10)
        clock.now += 1
        progress.step(11, loss=1, top1=0.5, images=100)
    assert "epoch 1/2  evaluating 10/10" in stream.getvalue()
    assert stream.getvalue().splitlines()[-1] == (
        f"epoch 2/2  step 11/20  loss 1.000  top-1 50.0%  100 images/s  {duration(21 / 11 * 9)} left"
    )


def test_epochs_and_notes_stay(clock):
    stream = io.StringIO()
    with Progress(epochs=12, steps_per_epoch=5, stream=stream, clock=clock) as progress:
        progress.note("warning [bold]as it is[/bold]")
        progress.epoch(3, train=meter(), validation=meter(0.4, 90, 100), seconds=75)
        progress.epoch(4, train=meter(), validation=None, seconds=5)
    assert stream.getvalue().splitlines() == [
        "warning [bold]as it is[/bold]",
        "epoch  3/12  loss 0.500, top-1 80.0%  validation: loss 0.400, top-1 90.0%, top-5 100.0%  1:15",
        "epoch  4/12  loss 0.500, top-1 80.0%  5.0 s",
    ]


def test_quiet_says_only_notes_and_on_stderr(clock, capsys):
    for stream in (None, Terminal()):
        with Progress(epochs=1, steps_per_epoch=2, quiet=True, stream=stream, interval=0, clock=clock) as progress:
            progress.step(1, loss=1, top1=0.5, images=1)
            progress.evaluating(1, 1)
            progress.epoch(1, train=meter(), validation=None, seconds=1)
            progress.note("a warning")
        assert stream is None or stream.getvalue() == ""
    assert capsys.readouterr() == ("", "a warning\na warning\n")


def test_the_bar_of_a_terminal(clock):
    stream = Terminal()
    with Progress(epochs=3, steps_per_epoch=780, stream=stream, clock=clock) as progress:
        clock.now += 2
        progress.step(800, loss=1.2345, top1=0.561, images=2468)
        progress._bar.refresh()
        progress.note("note [bold] stays")
        progress.evaluating(3, 16)
        progress._bar.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    drawn = re.split(r"[\r\n]+", text)
    assert any(re.fullmatch(r"epoch 2/3 .*800/2,340 loss 1\.23\d  top-1 56\.1%  1,234 images/s  3\.9 s left", line)
               for line in drawn), drawn  # fmt: skip
    assert any("evaluating 3/16" in line for line in drawn)
    assert "note [bold] stays" in drawn
    assert all(len(line) <= 80 for line in drawn)
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l")  # the cursor is back


def test_a_dumb_terminal_gets_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Progress(epochs=1, steps_per_epoch=2, stream=stream, interval=0, clock=clock) as progress:
        progress.step(1, loss=1, top1=0.5, images=1)
    show_results([("held-out images", meter())], [], stream)
    assert "\x1b" not in stream.getvalue() and stream.getvalue().startswith("epoch 1/1  step 1/2")


RESULTS = [
    ("held-out images", meter(0.4321, 845, 991, 1000)),
    ("training", meter(0.5, 9000, 10000, 10000)),
]
WRITTEN = [("checkpoint", Path("runs/mini/checkpoints/best.safetensors")), ("curve", Path("runs/mini/curve.png"))]


def test_results_in_plain_text():
    stream = io.StringIO()
    show_results(RESULTS, WRITTEN, stream)
    assert stream.getvalue() == (
        "                 images   top-1    top-5    loss\n"
        "held-out images   1,000  84.50%   99.10%  0.4321\n"
        "training         10,000  90.00%  100.00%  0.5000\n"
        "checkpoint  runs/mini/checkpoints/best.safetensors\n"
        "curve       runs/mini/curve.png\n"
    )


def test_results_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    path = Path("/a/rather/long/path" * 5 + "/best.safetensors")
    show_results(RESULTS, [("checkpoint", path)], stream)
    assert "84.50%" in stream.getvalue() and "┃" in stream.getvalue()
    assert f"checkpoint  {path}\n" in stream.getvalue()  # in one piece, to be copied


@pytest.mark.parametrize(
    "seconds, text", [(0.84, "0.8 s"), (59.6, "1:00"), (75, "1:15"), (3675, "1:01:15"), (4e5, "111:06:40")]
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_rich_is_imported_for_terminals_alone():
    code = "import sys, alexnet_cuda.train.progress as p; p.show_results([], []); print('rich' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert run.stdout == "False\n", run.stderr
