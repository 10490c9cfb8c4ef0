"""The command line: one module for each command; argparse is used here and nowhere else."""

from __future__ import annotations

TYPE_CHECKING = False  # as in ../__init__.py: nothing is imported before `main`, which is quiet about Ctrl-C
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status; see `commands.run`."""
    try:
        import signal
        import threading

        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not ignored, as it is after nohup
        if usual and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, _leave)
            from . import commands  # noqa: F401  # what takes long

            signal.signal(signal.SIGINT, signal.default_int_handler)
        from .commands import run

        return run(argv)
    except KeyboardInterrupt:
        return 130


def _leave(*_: object) -> None:
    """Ctrl-C while modules are imported: there is nothing to save yet, and NumPy would make another error of a
    KeyboardInterrupt and tell at length how it is installed."""
    import os

    os._exit(130)
