"""alexnet-cuda eval: how good a checkpoint is on the images of a store."""

import argparse
import sys
import time
from typing import Any

from .. import data
from ..data.sample import sample
from ..data.store import Store
from ..train.model import Model
from ..train.progress import show_results
from ..train.runs import ROOT, find_checkpoint
from . import arguments as types

EXAMPLES = """\
examples:
  alexnet-cuda eval                                          the newest run in runs/
  alexnet-cuda eval runs/first                               the newest checkpoint of a run, on the run's images
  alexnet-cuda eval runs/first/checkpoints/best.safetensors
  alexnet-cuda eval runs/first --data store --views 10       the paper's ten views: corners, centre, mirrored
"""
SECONDS = 5.0


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "eval",
        help="loss, top-1 and top-5 of a checkpoint",
        description="Evaluate a checkpoint on the images of a store: loss, top-1 and top-5.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", nargs="?", metavar="RUN|CHECKPOINT",
        help=f"a checkpoint, or a run, of which the newest is taken (default: the newest run in {ROOT}/)",
    )  # fmt: skip
    parser.add_argument("--data", metavar="STORE", help="a prepared store (default: the one it was trained on)")
    parser.add_argument("--split", choices=("val", "train"), default="val", help="which images (default: val)")
    parser.add_argument("--views", type=int, choices=(1, 10), default=1, help="crops of an image (default: 1)")
    types.add_model_options(parser)
    parser.add_argument(
        "--workers", type=types.count(0), default=2, metavar="N", help="threads that read images (default: 2)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    found = find_checkpoint(types.model_path(arguments.model), _warn)
    model = Model.from_checkpoint(found, devices=arguments.devices, precision=arguments.precision)
    store = data.open(arguments.data) if arguments.data else _own_images(model, found.meta)
    start = time.monotonic()
    meter = model.evaluate(
        store, arguments.split, views=arguments.views, workers=arguments.workers, on_batch=_Lines()
    )  # fmt: skip
    views = "centre crop" if arguments.views == 1 else "ten views"
    print(types.shown(f"{model.net.name}, step {found.step:,}, in {model.precision}; {store.description}"))
    name = {"val": "validation", "train": "training"}[arguments.split]
    show_results([(f"{name} ({views})", meter)], [("checkpoint", found.path)])
    print(f"{meter.images / (time.monotonic() - start):,.0f} images/s")
    return 0


class _Lines:
    """How far it is, on stderr, where it takes long."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() - self._printed >= SECONDS:
            self._printed = time.monotonic()
            _warn(f"evaluating {done:,}/{of:,}")


def _own_images(model: Model, meta: dict[str, Any]) -> Store:
    """The images a model was trained on. Raises ValueError where only the user can know where they are."""
    if meta.get("store_path"):
        return data.open(meta["store_path"])
    channels = model.net.input_shape[0]
    store = sample(model.size, channels) if channels in (1, 3) else None
    if store is None or store.fingerprint != meta.get("store"):
        raise ValueError(
            f"the model was trained on other images ({meta.get('store_description')}); say where they are: --data STORE"
        )
    return store


def _warn(text: str) -> None:
    print(text, file=sys.stderr)
