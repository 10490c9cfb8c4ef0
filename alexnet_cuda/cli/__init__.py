"""The command line: one module for each command; argparse is used here and nowhere else."""

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import DeviceError
from . import check, info

COMMANDS = (check, info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 the command found something wrong, 2 it could not be understood."""
    parser = argparse.ArgumentParser(
        prog="alexnet-cuda",
        description="AlexNet of 2012, from scratch.",
        epilog="alexnet-cuda COMMAND --help says more",
    )
    parser.add_argument("--version", action="version", version=f"alexnet-cuda {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except (ValueError, TypeError, DeviceError) as error:
        print(f"alexnet-cuda: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough; keep Python's exit quiet about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
