"""SIGTERM, SIGINT and SIGUSR1 as flags that a loop looks at when its state is whole."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOP = (signal.SIGTERM, signal.SIGINT)
SAVE = signal.SIGUSR1
SHOW_CURSOR = "\033[?25h"  # progress bars hide it


class Interrupted(KeyboardInterrupt):
    """Training was told to stop, and its state is saved.

    A KeyboardInterrupt, so that `except Exception` lets it through and a notebook takes it for its stop button.
    `exit_status` is what the shell expects of the signal: 143 for SIGTERM, 130 for SIGINT.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.signal = number
        self.exit_status = 128 + number


class Interrupts:
    """While it is entered, signals only set flags; a second SIGTERM or SIGINT ends the process at once, unsaved.

    The loop looks at `stop` after every training step and every batch of an evaluation, saves, and calls `check`.
    On leaving, the handlers from before are back. Outside the main thread, where Python handles no signals, nothing
    is installed and the flags can be set by `request_stop` alone. Handlers are also put where a shell had SIGINT
    ignored, as it does for what it starts in the background: a signal sent on purpose should save there too.

    announce: say on stderr that a signal has come, since the step in progress may take a while.
    """

    def __init__(self, announce: bool = True) -> None:
        self.stop: signal.Signals | None = None
        self._announce = announce
        self._save = False
        self._before: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Raise Interrupted if a stop was asked for."""
        if self.stop is not None:
            raise Interrupted(self.stop)

    def take_save(self) -> bool:
        """Whether SIGUSR1 (save and go on) has come since the last call."""
        wanted, self._save = self._save, False
        return wanted

    def request_stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Set the flag as the signal would; from any thread."""
        self.stop = number

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (*STOP, SAVE):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # None: a handler that was not installed from Python, which cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == SAVE:
            self._save = True
            return
        name = signal.Signals(number).name
        if self.stop is not None:
            _say(f"{SHOW_CURSOR if os.isatty(2) else ''}\n{name} again: ended, not saved\n")
            os._exit(128 + number)
        self.stop = signal.Signals(number)
        if self._announce:
            _say(f"\n{name}: saving after this step, then stopping; once more ends at once\n")


def _say(text: str) -> None:
    """Not print: a handler may run in the middle of another print."""
    try:
        os.write(2, text.encode())
    except OSError:
        return  # stderr is closed; there is nobody to tell
