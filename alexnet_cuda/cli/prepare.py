"""alexnet-cuda prepare: images into a prepared store."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..data.files import DiskFullError
from ..data.prepare import Events, cores, prepare
from .arguments import shown

EXAMPLES = """\
SRC is one of
  a folder of images           SRC/train/<class>/<image> and SRC/val/<class>/<image>, in any format Pillow reads;
                               or SRC/<class>/<image>, for --val-fraction
  a folder of IDX files        MNIST, Fashion-MNIST: train-images-idx3-ubyte and so on, plain or .gz
  a folder of CIFAR batches    CIFAR-10 or CIFAR-100, binary version

Of each image the centre square is stored, resized to SIZE. Images are read by what they hold, not by their names;
grey becomes RGB, CMYK is converted, transparency is put on white, 16 bits become the upper 8. Those that cannot be read
are skipped and listed in OUT/skipped.txt. The same command again goes on after an interruption, and rebuilds what is
damaged in a finished store.

exit status: 0 done, 2 something is wrong with SRC, OUT or an option, 3 the disk is full, 130 interrupted

examples:
  alexnet-cuda prepare imagenet/ store/                        256 x 256, as in the paper
  alexnet-cuda prepare imagenet/ store/ --val-labels val.txt   val images in one folder; lines "image class"
  alexnet-cuda prepare flowers/ store/ --size 36 --val-fraction 0.1    no val folder: every tenth image of a class
  alexnet-cuda prepare cifar-10-batches-bin/ store/ --size 36
  alexnet-cuda prepare mnist/ store/ --size 28 --channels 1            for lenet5
"""
SKIPPED_LINES = 20  # as many are printed as they are found
SECONDS = 5.0  # between lines of progress where there is no terminal


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "prepare",
        help="make a store of images",
        description="Make a store, which training reads, of a folder of images, IDX files or CIFAR batches.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("src", metavar="SRC", help="where the images are")
    parser.add_argument("out", metavar="OUT", help="the folder to make")
    parser.add_argument("--size", type=int, default=256, metavar="N", help="side in pixels (default: 256)")
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3), help="1: grey, 3: RGB (default: 3)")
    parser.add_argument(
        "--max-bad", type=float, default=0.001, metavar="F", help="fraction of images that may fail (default: 0.001)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help=f"threads (default: {cores()}, one for each core)")
    parser.add_argument("--val-labels", metavar="FILE", help="labels of val images that are not in class folders")
    parser.add_argument("--val-fraction", type=float, metavar="F", help="validate on this fraction of the train images")
    parser.add_argument("--allow-truncated", action="store_true", help="use incomplete files, with the rest filled in")
    parser.add_argument("--exif-orientation", action="store_true", help="turn images as their EXIF data says")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    try:
        with _listener() as events:
            summary = prepare(
                arguments.src,
                arguments.out,
                size=arguments.size,
                channels=arguments.channels,
                max_bad=arguments.max_bad,
                workers=arguments.workers,
                val_labels=arguments.val_labels,
                val_fraction=arguments.val_fraction,
                allow_truncated=arguments.allow_truncated,
                exif_orientation=arguments.exif_orientation,
                events=events,
            )
    except DiskFullError as error:
        free = shutil.disk_usage(arguments.out).free
        print(
            f"alexnet-cuda: {error.filename}: {error.strerror} ({free / 1e9:,.1f} GB free); make room and run the same"
            " command again, which goes on from here",
            file=sys.stderr,
        )
        return 3
    except KeyboardInterrupt:
        print("alexnet-cuda: interrupted; the same command again goes on from here", file=sys.stderr)
        return 130
    for note, (count, first) in summary.notes.items():
        print(f"{count:,} {'image' if count == 1 else 'images'}: {shown(note)}; the first: {shown(first)}")
    if summary.skipped:
        print(f"skipped {summary.skipped:,}, listed in {shown(summary.path / 'skipped.txt')}")
    verb = "prepared" if summary.built else "nothing to do for"
    print(f"{verb} {shown(summary.description)}; {summary.bytes / 1e6:,.1f} MB in {time.monotonic() - start:,.0f} s")
    return 0


@contextlib.contextmanager
def _listener() -> Iterator[Events]:
    """A bar on a terminal, a line now and then elsewhere."""
    if sys.stdout.isatty():
        with _bar() as events:
            yield events
    else:
        yield Events(say=_few(lambda line: print(shown(line), flush=True)), progress=_Lines())


def _few(say: Any) -> Any:
    """Let through what is said, but not every skipped image of many."""
    skipped = 0

    def limited(line: str) -> None:
        nonlocal skipped
        if line.startswith("skipped "):
            skipped += 1
            if skipped > SKIPPED_LINES:
                return
            line += "; more are not printed" if skipped == SKIPPED_LINES else ""
        say(line)

    return limited


class _Lines:
    """Progress in lines that a log can hold."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}
        self._printed = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, skipped: int) -> None:
        now = time.monotonic()
        since, before = self._started.setdefault(stage, (now, done))
        if now - self._printed < SECONDS and done < total:
            return
        self._printed = now
        line = f"{stage}: {done:,} of {total:,} images"
        if done > before and now - since > 0.1:
            rate = (done - before) / (now - since)
            line += f", {rate:,.0f} images/s, {(total - done) / rate:,.0f} s left"
        print(line + (f", {skipped:,} skipped" if skipped else ""), flush=True)


@contextlib.contextmanager
def _bar() -> Iterator[Events]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]} images/s"),
        progress.TimeRemainingColumn(),
    )
    console = Console(soft_wrap=True)
    with progress.Progress(*columns, console=console) as bar:
        tasks: dict[str, tuple[progress.TaskID, float, int]] = {}

        def show(stage: str, done: int, total: int, skipped: int) -> None:
            if stage not in tasks:
                tasks[stage] = (bar.add_task(stage, total=total, rate=""), time.monotonic(), done)
            task, since, before = tasks[stage]
            rate = (done - before) / max(time.monotonic() - since, 1e-9)
            description = f"{stage}, {skipped:,} skipped" if skipped else stage
            bar.update(task, completed=done, description=description, rate=f"{rate:,.0f}")

        def say(line: str) -> None:
            console.print(shown(line), markup=False, highlight=False)

        yield Events(say=_few(say), progress=show)
