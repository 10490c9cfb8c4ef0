"""Command-line arguments and their types: what these raise becomes one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from ..data.store import Store
from ..nn.precision import TRAINED
from ..train.runs import ROOT, newest_run


class Parser(argparse.ArgumentParser):
    """What cannot be understood is one line on stderr, as all errors are; the usage is in --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (--help says more)\n")


def count(minimum: int) -> Callable[[str], int]:
    """An integer of at least `minimum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"got {text!r}, wanted an integer of at least {minimum}") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"got {value}, wanted at least {minimum}")
        return value

    return parse


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a number above 0") from None
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"got {text}, wanted a number above 0")
    return value


def seed(text: str) -> int:
    """64 bits."""
    value = count(0)(text)
    if value >= 1 << 64:
        raise argparse.ArgumentTypeError(f"got {value}, wanted at most {(1 << 64) - 1}")
    return value


def ids(text: str) -> np.ndarray:
    """The array of integers in an .npy file; `train.fit` checks what it holds."""
    try:
        array = np.load(text, allow_pickle=False)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror or error}") from None
    except Exception:  # what is damaged, or no such file at all, raises nearly anything in NumPy's reader
        raise argparse.ArgumentTypeError(f"{text} is no .npy file of numbers; write it with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise argparse.ArgumentTypeError(f"{text} is an archive (.npz), wanted one array; write it with numpy.save")
    return array


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What every command has that computes with a trained model."""
    parser.add_argument("--devices", metavar="D[,D]", help="as in train (default: the best that can run it)")
    parser.add_argument("--precision", choices=TRAINED, help="as in train (default: the one it was trained in)")


def model_path(named: str | None) -> Path:
    """The run or checkpoint that was named, or else the newest run. Raises ValueError where there is none."""
    if named is not None:
        return Path(named)
    found = newest_run()
    if found is None:
        raise ValueError(f"no trained model in {ROOT}/; train one first (alexnet-cuda train), or name a RUN")
    print(f"model: {found}", file=sys.stderr)
    return found


def shown(text: object, stream: TextIO | None = None) -> str:
    """Text that `stream` (stdout unless given) can take, whatever bytes a file name holds."""
    encoding = (sys.stdout if stream is None else stream).encoding or "utf-8"
    return str(text).encode(encoding, "backslashreplace").decode(encoding)


def embedded_images(store_size: int, crop: int, channels: int) -> Store:
    """The images in the package, as large as a net wants them stored, or by as much larger than its crop as the
    paper's 256 pixels are than its 224, if that is less: nobody said how large these should be."""
    from ..data.sample import sample

    return sample(max(crop, min(store_size, round(crop * 256 / 224))), channels)
