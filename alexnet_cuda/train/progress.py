"""What a run shows while it goes: a bar on a terminal, a line every few seconds elsewhere, and a table at the end."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .metrics import Meter

WINDOW = 20.0  # seconds over which images/s is averaged


class Progress:
    """The progress of a run of `epochs` times `steps_per_epoch` steps, of which `done` were done before.

    A context manager. stream: stdout unless given; quiet: only notes, on stderr; interval: seconds between plain
    lines; clock: seconds.
    """

    def __init__(
        self,
        *,
        epochs: int,
        steps_per_epoch: int,
        done: int = 0,
        quiet: bool = False,
        stream: IO[str] | None = None,
        interval: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._epochs = epochs
        self._per_epoch = steps_per_epoch
        self._total = epochs * steps_per_epoch
        self._first = self._step = done
        self._quiet = quiet
        self._stream = sys.stdout if stream is None else stream
        self._interval = interval
        self._clock = clock
        self._start = self._shown = clock()
        self._images = 0
        self._window: deque[tuple[float, int]] = deque([(self._start, 0)])  # (when, images so far)
        self._bar: Any = None  # rich's, on a terminal
        self._numbers = ""

    def __enter__(self) -> Progress:
        if not self._quiet and _is_terminal(self._stream):
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task(
                self._where(self._step), total=self._total, completed=self._step, numbers=""
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def step(self, step: int, *, loss: float, top1: float, images: int) -> None:
        """A training step is done. step: counted from 1 over the whole run; loss, top1 (0 to 1): what to show."""
        now = self._clock()
        self._step = step
        self._images += images
        self._window.append((now, self._images))
        while len(self._window) > 2 and now - self._window[0][0] > WINDOW:
            self._window.popleft()
        if self._quiet:
            return
        self._numbers = f"loss {loss:.3f}  top-1 {top1:.1%}  {self._speed()}  {self._left(now)}"
        if self._bar is not None:
            self._bar.update(self._task, description=self._where(step - 1), completed=step, numbers=self._numbers)
        elif now - self._shown >= self._interval:
            self._shown = now
            self._line(f"{self._where(step - 1)}  step {step:,}/{self._total:,}  {self._numbers}")

    def evaluating(self, done: int, of: int) -> None:
        """`done` of `of` batches are evaluated; the time this takes does not count into images/s."""
        now = self._clock()
        self._window = deque([(now, self._images)])
        if self._bar is not None:
            self._bar.update(self._task, numbers=f"evaluating {done:,}/{of:,}")
        elif not self._quiet and now - self._shown >= self._interval:
            self._shown = now
            self._line(f"{self._where(self._step - 1)}  evaluating {done:,}/{of:,}")

    def epoch(self, number: int, *, train: Meter, validation: Meter | None, seconds: float) -> None:
        """An epoch (counted from 1) is over: a line that stays."""
        if self._quiet:
            return
        text = f"epoch {number:{len(str(self._epochs))}}/{self._epochs}  loss {train.loss:.3f}, top-1 {train.top1:.1%}"
        if validation is not None:
            v = validation
            text += f"  validation: loss {v.loss:.3f}, top-1 {v.top1:.1%}, top-5 {v.top5:.1%}"
        self._line(f"{text}  {duration(seconds)}")
        self._shown = self._clock()

    def note(self, text: str) -> None:
        """A line that stays, also when quiet: warnings."""
        if self._quiet:
            print(text, file=sys.stderr, flush=True)
        else:
            self._line(text)

    def _line(self, text: str) -> None:
        if self._bar is None:
            print(text, file=self._stream, flush=True)
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _where(self, steps_before: int) -> str:
        """The epoch that the step after so many belongs to."""
        number = min(max(steps_before, 0) // self._per_epoch + 1, self._epochs)
        return f"epoch {number}/{self._epochs}"

    def _speed(self) -> str:
        (start, before), (end, after) = self._window[0], self._window[-1]
        speed = (after - before) / (end - start) if end > start else 0.0
        return f"{speed:,.0f} images/s" if speed >= 10 else f"{speed:.2f} images/s"

    def _left(self, now: float) -> str:
        """From the whole time so far, which has the evaluations in it."""
        each = (now - self._start) / max(self._step - self._first, 1)
        return f"{duration(each * (self._total - self._step))} left"


def show_results(
    rows: Sequence[tuple[str, Meter]], written: Sequence[tuple[str, Path]], stream: IO[str] | None = None
) -> None:
    """The final table (what was measured on, and the averages) and the paths of what was written."""
    stream = sys.stdout if stream is None else stream
    head = ("", "images", "top-1", "top-5", "loss")
    body = [(name, f"{m.images:,}", f"{m.top1:.2%}", f"{m.top5:.2%}", f"{m.loss:.4f}") for name, m in rows]
    if body and _is_terminal(stream):
        _rich_table(head, body, stream)
    elif body:
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        for line in (head, *body):
            cells = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
            print("  ".join([f"{line[0]:{widths[0]}}", *cells]), file=stream)
    width = max((len(what) for what, _ in written), default=0)
    for what, path in written:
        print(f"{what:{width}}  {path}", file=stream)
    stream.flush()


def duration(seconds: float) -> str:
    """0.84 -> '0.8 s'; 75 -> '1:15'; 3675 -> '1:01:15'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal(stream: IO[str]) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _bar(stream: IO[str]) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}", markup=False),
        TextColumn("{task.fields[numbers]}", markup=False),
        console=Console(file=stream),
        expand=True,
        transient=True,  # the lines of the epochs stay, the bar goes
    )


def _rich_table(head: Sequence[str], body: Sequence[Sequence[str]], stream: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left")
    for row in body:
        table.add_row(*row)
    Console(file=stream, markup=False, highlight=False).print(table)
