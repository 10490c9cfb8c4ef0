"""alexnet-cuda info: what this build is and what it can use on this machine; or a net, as a table."""

import argparse
from typing import Any

from .. import config
from ..nn.precision import TRAINED
from ..nn.presets import PRESETS
from ..nn.table import table
from .nets import load_net

EXAMPLES = f"""\
examples:
  alexnet-cuda info                                 versions, backends, devices
  alexnet-cuda info --net alexnet_2012              layers, parameters and recipe of a preset
  alexnet-cuda info --net alexnet_mini --classes 7  the same with another number of outputs
  alexnet-cuda info --net my_net.py:net             the net `net` of a Python file

presets:
  {", ".join(list(PRESETS)[:6])},
  {", ".join(list(PRESETS)[6:])}
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="what this build can use on this machine, or a net as a table",
        description="Print versions, compiled backends and devices, and why a backend is missing; or a net.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--net", metavar="NAME|FILE.py:NAME", help="print this net instead: layers, totals and recipe")
    parser.add_argument("--classes", type=int, metavar="N", help="outputs of its last layer (default: the net's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.net is not None:
        print(table(load_net(arguments.net, arguments.classes)))
    elif arguments.classes is not None:
        raise ValueError("info: --classes needs --net")
    else:
        print(config.show())
        print(f"precisions        {', '.join(TRAINED)} (alexnet-cuda train --precision)")
    return 0
