"""Handles signals that end a program: at once, leaving nothing behind."""

from __future__ import annotations

import os
import signal
import threading

from renalseg.runtime import log
from renalseg.runtime.staging import remove_all

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


def end_on_signals() -> None:
    """On a signal, removes the program's hidden folders and exits with 128 + its number.

    A thread waits for the signals, because Python's own handlers run between two steps of the main
    thread, and one step can be a network that runs for a minute. All threads and child processes
    therefore block the signals: call this before there are any, in a program that starts no
    processes. Ignored signals, as under nohup, stay ignored. Does nothing on Windows.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return
    wanted = {
        number
        for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name))
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    threading.Thread(target=_wait, args=(wanted,), name="signals", daemon=True).start()


def _wait(wanted: set[signal.Signals]) -> None:
    number = signal.Signals(signal.sigwait(wanted))
    try:
        remove_all()
        text = f"renalseg: ended by {number.name}; what was not complete is removed"
        log.say(text, "ended", "error", signal=number.name, exit_code=128 + number)
    finally:
        os._exit(128 + number)
