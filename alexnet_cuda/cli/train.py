"""alexnet-cuda train: a net on images, from nothing, from a checkpoint or from where it was interrupted."""

import argparse
from pathlib import Path
from typing import Any

from .. import data
from ..nn.precision import TRAINED
from ..nn.presets import PRESETS, with_classes
from ..train.model import Model, Outcome
from ..train.progress import show_results
from ..train.trainer import fit
from . import arguments as types
from .nets import load_net

EXAMPLES = """\
Without arguments: alexnet_mini on the images that come with the package, on the best device there is, both towers.

A run writes into its folder: checkpoints/ (after each epoch, every ten minutes, and when it is interrupted; the last
ones and the best stay), metrics.jsonl and learning_curve.png. Ctrl-C and SIGTERM save at the next step, SIGUSR1 saves
and goes on. The same command with --resume auto goes on where the run stopped, and ends with the bits it would have
had without the interruption; devices, workers and more epochs may differ from before.

examples:
  alexnet-cuda train
  alexnet-cuda train --epochs 2 --out runs/first             a short run, in a folder of that name
  alexnet-cuda train --resume auto                           go on with the newest run of the net
  alexnet-cuda train --net alexnet_2012 --data store --devices cuda:0,cuda:1
                                                             the net of 2012 on a prepared store, a tower on each GPU
  alexnet-cuda train --net alexnet_2012 --data store --devices cuda:0 --precision bf16
                                                             both towers on one GPU, on its tensor cores
  alexnet-cuda train --net my_net.py:net --data store        the net `net` of a Python file
  alexnet-cuda train --data flowers --init-from runs/first --freeze conv1 --freeze conv2 --lr 0.001
                                                             other classes, on features that are there already

exit status: 0 done; 1 the loss became infinite or no number, or the disk did not take the last checkpoint; 2 an
argument does not fit; 130 interrupted by Ctrl-C, 143 by SIGTERM, with the state saved
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a net",
        description="Train a net on images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--net", default="alexnet_mini", metavar="NAME|FILE.py:NAME",
        help=f"a preset ({', '.join(PRESETS)}) or a net in a Python file (default: alexnet_mini)",
    )  # fmt: skip
    what.add_argument(
        "--classes", type=types.count(2), metavar="N", help="outputs of the net (default: a preset's fit the images)"
    )
    what.add_argument("--data", metavar="STORE", help="folder made by alexnet-cuda prepare (default: embedded images)")
    what.add_argument("--subset", type=types.ids, metavar="FILE.npy", help="ids of the training images to use")
    what.add_argument("--no-evaluate", action="store_true", help="leave out the validation images")
    how = parser.add_argument_group("how")
    how.add_argument("--epochs", type=types.count(1), metavar="N", help="passes over the data (default: the net's)")
    how.add_argument("--batch", type=types.count(1), metavar="N", help="images in a step (default: the net's)")
    how.add_argument("--lr", type=types.positive, metavar="RATE", help="learning rate (default: the net's)")
    how.add_argument(
        "--precision", choices=TRAINED, default="fp32",
        help="bf16: activations and working weights in bfloat16, for GPUs with tensor cores (default: fp32)",
    )  # fmt: skip
    how.add_argument("--seed", type=types.seed, default=0, metavar="S", help="of all that is drawn (default: 0)")
    how.add_argument(
        "--freeze", action="append", default=[], metavar="LAYER", help="a layer that does not change; may be repeated"
    )
    how.add_argument("--init-from", metavar="RUN|FILE", help="begin with the weights of a run or checkpoint")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--devices", metavar="D[,D]",
        help="cpu, cuda:0, emulated:0 (the CUDA kernels on the CPU), or two with a comma, one for each tower: "
        "cuda:0,cuda:1 (default: the best that can run it)",
    )  # fmt: skip
    where.add_argument(
        "--workers", type=types.count(0), default=2, metavar="N", help="threads that read images (default: 2)"
    )
    where.add_argument("--out", metavar="RUN", help="folder of the run (default: runs/NET-DATE-TIME)")
    where.add_argument(
        "--resume", metavar="auto|RUN|FILE",
        help="go on with a run; auto: the one in --out, or the newest of this net in runs/, or a new one",
    )  # fmt: skip
    where.add_argument(
        "--checkpoint-every", type=types.count(1), metavar="STEPS", help="checkpoints within an epoch too"
    )
    where.add_argument("--keep", type=types.count(1), default=3, metavar="N", help="checkpoints to keep (default: 3)")
    where.add_argument("--quiet", action="store_true", help="print the results and warnings alone")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    net = load_net(arguments.net, arguments.classes)
    if arguments.data is None and net.input_shape[0] not in (1, 3):
        raise ValueError(
            f"net '{net.name}' takes {net.input_shape[0]} channels, the embedded images have 1 or 3; say where images "
            "are that fit it: --data STORE"
        )
    if arguments.data is None:
        store = types.embedded_images(net.recipe.store_size, net.input_shape[1], net.input_shape[0])
    else:
        store = data.open(arguments.data)
    if arguments.net in PRESETS and arguments.classes is None:
        net = with_classes(net, len(store.class_names))
    model = fit(
        net, store, epochs=arguments.epochs, seed=arguments.seed, devices=arguments.devices, batch=arguments.batch,
        lr=arguments.lr, out=arguments.out, resume=arguments.resume, init_from=arguments.init_from,
        freeze=arguments.freeze, subset=arguments.subset, evaluate=not arguments.no_evaluate,
        precision=arguments.precision, workers=arguments.workers, checkpoint_every=arguments.checkpoint_every,
        keep=arguments.keep, progress=not arguments.quiet,
    )  # fmt: skip
    _report(model)
    return 0


def _report(model: Model) -> None:
    outcome = model.outcome
    if outcome is None:
        raise AssertionError("unreachable: fit leaves an outcome")
    rows = [("training (last epoch, with dropout)", outcome.train)]
    if outcome.validation is not None:
        rows.append(("validation", outcome.validation))
    written: list[tuple[str, Path]] = []
    if outcome.checkpoint is not None:
        written.append(("checkpoint", outcome.checkpoint))
    if outcome.best is not None and outcome.best_checkpoint is not None:
        best = f"best (epoch {outcome.best['epoch']}, top-1 {outcome.best['top1']:.2%})"
        written.append((best, outcome.best_checkpoint))
    written.append(("metrics", outcome.metrics))
    written += _curve(outcome)
    show_results(rows, written)
    print(f"next: alexnet-cuda predict IMAGE --model {outcome.run}")


def _curve(outcome: Outcome) -> list[tuple[str, Path]]:
    """The learning curve's picture. A run that has ended well does not fail for want of one."""
    try:
        from ..viz.curves import learning_curve

        return [("learning curve", learning_curve(outcome.metrics, outcome.curve))]
    except (ImportError, OSError, ValueError) as error:
        print(f"no learning curve: {error}")
        return []
