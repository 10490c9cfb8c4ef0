"""Chunks of work spread over threads.

NumPy leaves the interpreter lock while it computes, so plain threads use every core, given chunks large enough
(tens of microseconds a call) that the lock is seldom wanted by two at once. Chunks write disjoint results, and no sum
is split differently for another number of threads: any number gives the same bits.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from .chunks import Scratch

Chunk = TypeVar("Chunk")

VARIABLE = "ALEXNET_THREADS"


def threads() -> int:
    """How many threads to use: ALEXNET_THREADS, or as many as there are CPUs this process may run on."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{VARIABLE}: got {text!r}, wanted a whole number of at least 1; unset it to use every CPU")
    return int(text)


def run(work: Callable[[Chunk, Scratch], None], chunks: Iterable[Chunk]) -> None:
    """Call `work(chunk, scratch)` for each chunk, the calling thread being one of the workers.

    Each thread has a Scratch of its own for the length of this call. Calls from within a chunk run in that chunk's
    thread alone. The first exception stops the chunks that have not begun and is raised here.
    """
    pending = deque(chunks)
    workers = 1 if _worker.busy else min(threads(), len(pending))

    def work_off() -> None:
        busy_before, _worker.busy = _worker.busy, True
        scratch = Scratch()
        try:
            with np.errstate(all="ignore"):  # NaN and infinity pass through the operations in silence
                while pending:
                    try:
                        chunk = pending.popleft()
                    except IndexError:  # another thread took the last one
                        return
                    work(chunk, scratch)
        except BaseException:
            pending.clear()
            raise
        finally:
            _worker.busy = busy_before

    helpers = _pool.start(workers - 1, work_off)
    try:
        work_off()
    finally:
        # Helpers that have not begun are not needed any more; the others are waited for.
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in errors:
        if error is not None:
            raise error


class _Worker(threading.local):
    busy = False


class _Pool:
    """One executor for the process, grown when more threads are asked for, and forgotten in a forked child.

    Helpers never wait for other helpers, so several callers may share it without deadlock.
    """

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)  # threads do not survive a fork

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._size = 0
        _worker.busy = False

    def start(self, helpers: int, function: Callable[[], None]) -> list[Future[None]]:
        """Run `function` in each of so many threads, or in fewer where the system gives no more: the caller, who
        works too, can do without."""
        started: list[Future[None]] = []
        if not helpers:
            return started
        with self._lock, contextlib.suppress(RuntimeError):  # no more threads, or the interpreter is about to end
            if self._executor is None or self._size < helpers:
                if self._executor is not None:
                    self._executor.shutdown(wait=False)  # what it runs for other callers still completes
                self._executor, self._size = ThreadPoolExecutor(helpers, "alexnet-cpu"), helpers
            for _ in range(helpers):
                started.append(self._executor.submit(function))
        return started


_worker = _Worker()
_pool = _Pool()
