"""The command line: one module for each command; argparse is used here and nowhere else."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status; see `commands.run`."""
    try:
        from .commands import run  # here, so that Ctrl-C before the first word is no traceback either
    except KeyboardInterrupt:
        return 130
    return run(argv)
