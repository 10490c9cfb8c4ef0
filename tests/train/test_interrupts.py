"""Signals set flags; the second one ends the process; the handlers from before come back."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from alexnet_cuda.train.interrupts import STOP, Interrupted, Interrupts

LOOP = """
import sys, time
from alexnet_cuda.train.interrupts import Interrupted, Interrupts

try:
    with Interrupts() as interrupts:
        print("ready", flush=True)
        for step in range(int(sys.argv[1])):
            time.sleep(0.01)
            if interrupts.take_save():
                print("saved, going on", flush=True)
            if interrupts.stop and sys.argv[2] == "polls":
                print("saved", flush=True)
                interrupts.check()
    print("finished", flush=True)
except Interrupted as interrupted:
    print(interrupted, flush=True)
    sys.exit(interrupted.exit_status)
"""


def started(steps=1000, polls="polls"):
    run = [sys.executable, "-c", LOOP, str(steps), polls]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_one_signal_stops_at_the_next_step(number, status):
    process = started()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert out == f"saved\nstopped by {number.name}\n"
    assert err == f"\n{number.name}: saving after this step, then stopping; once more ends at once\n"


@pytest.mark.parametrize("first, second, status", [("SIGTERM", "SIGTERM", 143), ("SIGTERM", "SIGINT", 130)])
def test_the_second_signal_ends_at_once(first, second, status):
    process = started(polls="never")
    process.send_signal(signal.Signals[first])
    while "stopping" not in process.stderr.readline():  # the handler has run: else the two become one
        pass
    start = time.monotonic()
    process.send_signal(signal.Signals[second])
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 5  # of the ten that the loop would take
    assert (process.returncode, out) == (status, "")
    assert f"{second} again: ended, not saved" in err


def test_usr1_saves_and_goes_on():
    process = started(steps=60)
    process.send_signal(signal.SIGUSR1)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "saved, going on\nfinished\n", "")


def test_an_interrupt_is_no_mere_exception():
    assert issubclass(Interrupted, KeyboardInterrupt) and not issubclass(Interrupted, Exception)
    interrupted = Interrupted(signal.SIGTERM)
    assert (interrupted.exit_status, interrupted.signal, str(interrupted)) == (
        143,
        signal.SIGTERM,
        "stopped by SIGTERM",
    )


def test_the_handlers_from_before_come_back():
    kinds = (*STOP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in kinds]
    with Interrupts(announce=False) as interrupts:
        assert all(signal.getsignal(number) != handler for number, handler in zip(kinds, before, strict=True))
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 5
        while interrupts.stop is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert interrupts.stop == signal.SIGINT
        with pytest.raises(Interrupted):
            interrupts.check()
    assert [signal.getsignal(number) for number in kinds] == before


def test_they_come_back_after_an_error_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), Interrupts():
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_installs_nothing():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def train():
        with Interrupts() as interrupts:
            seen.append(signal.getsignal(signal.SIGINT))
            interrupts.check()
            interrupts.request_stop(signal.SIGTERM)
            seen.append(interrupts.stop)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [before, signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) == before


def test_no_signal_no_flag():
    with Interrupts() as interrupts:
        interrupts.check()
        assert interrupts.stop is None and not interrupts.take_save()
