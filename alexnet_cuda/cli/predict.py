"""alexnet-cuda predict: what a trained net sees in images."""

import argparse
import sys
from typing import Any

import numpy as np

from ..data.decode import BadImage, silenced_warnings
from ..train.model import Model
from ..train.runs import ROOT
from . import arguments as types

EXAMPLES = """\
Images are read by what they hold, turned as their EXIF data says, resized and cropped as the training images were.

examples:
  alexnet-cuda predict shoe.jpg                              by the newest run in runs/
  alexnet-cuda predict photos/*.jpg --model runs/first
  alexnet-cuda predict shoe.jpg --model runs/first/checkpoints/best.safetensors --top 3

exit status: 0 done; 1 an image could not be read, which is named; 2 an argument does not fit
"""
AT_ONCE = 256


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="the most probable classes of images",
        description="Print the most probable classes of images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--model", metavar="RUN|CHECKPOINT", help=f"a run or a checkpoint (default: the newest run in {ROOT}/)"
    )
    parser.add_argument("--top", type=types.count(1), default=5, metavar="N", help="classes to print (default: 5)")
    types.add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path = types.model_path(arguments.model)
    model = Model.load(path, devices=arguments.devices, precision=arguments.precision, warn=_say)
    failed = 0
    for start in range(0, len(arguments.images), AT_ONCE):
        names, pixels = [], []
        for image in arguments.images[start : start + AT_ONCE]:
            try:
                with silenced_warnings():  # an image that is too large is refused; Pillow would warn of it too
                    pixels.append(model.read(image))
                names.append(image)
            except BadImage as error:
                _say(str(error))
                failed += 1
        if names:
            _print(names, model.predict(np.stack(pixels)), model.class_names, arguments.top)
    if failed:
        _say(f"{failed:,} of {len(arguments.images):,} images could not be read")
    return 1 if failed else 0


def _print(names: list[str], probabilities: np.ndarray, classes: tuple[str, ...], top: int) -> None:
    for name, row in zip(names, probabilities, strict=True):
        print(types.shown(name))
        for index in np.argsort(-row, kind="stable")[:top]:
            print(f"  {row[index]:6.1%}  {types.shown(classes[index])}")


def _say(text: str) -> None:
    print(types.shown(text, sys.stderr), file=sys.stderr)
