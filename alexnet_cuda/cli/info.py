"""alexnet-cuda info: what this build is and what it can use on this machine."""

import argparse
from typing import Any

from .. import config


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="what this build can use on this machine",
        description="Print versions, compiled backends and devices, and why a backend is missing.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    print(config.show())
    return 0
