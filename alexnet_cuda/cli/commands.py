"""All commands, and what becomes of what they raise."""

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import DeviceError
from ..train.errors import TrainingError
from ..train.interrupts import Interrupted
from . import check, eval, info, predict, prepare, train
from .arguments import Parser

COMMANDS = (check, info, prepare, train, eval, predict)


def run(argv: Sequence[str] | None) -> int:
    """Run one command.

    Exit status: 0 done, 1 the command found something wrong, 2 it could not be understood or cannot be done here,
    130 and 143 interrupted. What is wrong is one line on stderr that says what to do.
    """
    parser = Parser(
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
    except TrainingError as error:
        return _complain(error, 1)
    except (ValueError, TypeError, DeviceError, NotImplementedError) as error:  # the last: a kernel that is not there
        return _complain(error, 2)
    except MemoryError as error:
        return _complain(f"out of memory{f': {error}' if str(error) else ''}; {_less_memory(arguments)}", 2)
    except BrokenPipeError:  # the reader (head, less) has seen enough; keep Python's exit quiet about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else error, 2)
    except Interrupted as stopped:
        return stopped.exit_status
    except KeyboardInterrupt:
        return 130


def _less_memory(arguments: argparse.Namespace) -> str:
    """What to do, by the options that the command has."""
    advice = {
        "batch": "use smaller batches (--batch)",
        "devices": "use another device (--devices)",
        "workers": "use fewer threads (--workers 1)",
    }
    return next((text for option, text in advice.items() if hasattr(arguments, option)), "make room and try again")


def _complain(what: object, status: int) -> int:
    print(f"alexnet-cuda: {what}", file=sys.stderr)
    return status
