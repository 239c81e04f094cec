"""How a process starts and ends: its limits, the chatter of libraries, and signals.

``import monai`` imports the MONAI Deploy SDK where that is installed, so `prepare` concerns
``renalseg run`` as much as the application.
"""

from __future__ import annotations

import atexit
import mmap
import os
import signal
import sys
import threading
import warnings
from types import TracebackType
from typing import NoReturn

from renalseg.errors import RenalSegError, RetryableError, causes, exit_code_for, what_ran_out
from renalseg.runtime import log
from renalseg.runtime.caches import use_writable_folders
from renalseg.runtime.privacy import hide_header_values, reason_of
from renalseg.runtime.staging import remove_all

STACK_BYTES = 32 * 1024 * 1024
"""The size that Holoscan recommends."""

LEAST_BYTES = 3 << 29
"""Address space below which the libraries cannot start: 1.5 GiB."""

LOG_LEVEL = "HOLOSCAN_LOG_LEVEL"
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


def prepare(*, verbose: bool = False) -> None:
    """Raise limits and hide library chatter; call it before importing the libraries.

    Args:
        verbose: Hide only what may quote patient data.
    """
    raise_stack_limit()
    use_writable_folders()
    hide_header_values()
    if not verbose:
        hide_chatter()


def raise_stack_limit(wanted: int = STACK_BYTES) -> None:
    """Raise the soft limit of the stack to `wanted` bytes, or to the hard limit if that is less.

    Applies to this process' main thread and to all threads of its child processes.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited:
        wanted = min(wanted, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def require_memory(least: int = LEAST_BYTES) -> None:
    """Ends a run that would lack memory, because some libraries then exit silently.

    Args:
        least: Bytes of address space; they are reserved, not used.

    Raises:
        RetryableError: There is less, because of a limit (``ulimit -v``) or a lack of memory.
    """
    try:
        mmap.mmap(-1, least).close()
    except OSError as error:
        raise RetryableError(
            f"out of memory: expected at least {least / 2**30:.1f} GiB of address space, found "
            "less; raise the limit (ulimit -v), or use a machine with more memory"
        ) from error


def leave(code: int) -> NoReturn:
    """End the process at once, as a program's last action.

    The interpreter would first dismantle every imported module, which takes half a second with
    torch. Registered exit handlers still run.

    Args:
        code: The exit code.
    """
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # nobody reads any more, as after `| head`
        pass
    os._exit(code)


def end_in_one_sentence() -> None:
    """Makes the errors of RenalSeg end this process with a sentence and their exit code.

    For ``python -m monai.bundle run``, which otherwise shows how MONAI came to the place of a
    mistake: each bundle's config calls this in its `initialize`. Faults keep their traceback.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        own = next((each for each in causes(error, implicit=True) if _is_said(each)), None)
        if own is None:
            before(kind, error, trace)
            return
        sys.stderr.write(f"renalseg: error: {reason_of(own)}\n")
        raise SystemExit(exit_code_for(own))  # Python's own way would end with 1

    sys.excepthook = hook


def _is_said(error: BaseException) -> bool:
    return isinstance(error, RenalSegError) or what_ran_out(error) is not None


def hide_chatter() -> None:
    """Hide what the libraries print on every run, but no message about a failure.

    The user's settings (HOLOSCAN_LOG_LEVEL, PYTHONWARNINGS, python -W) take precedence.
    """
    # Holoscan's steps of the graph are info, and that there is no GPU is a warning.
    os.environ.setdefault(LOG_LEVEL, "ERROR")
    if sys.warnoptions:
        return
    # Said where the hard limit is below the recommended one, and nobody here can raise it.
    warnings.filterwarnings("ignore", "Current stack size", RuntimeWarning)
    # Said of every bundle; these are the project's own.
    warnings.filterwarnings("ignore", "parsing config_file", UserWarning)
    # Said to the authors of the libraries.
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


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
        text = f"renalseg: ended by {number.name}; incomplete output is removed"
        log.say(text, "ended", "error", signal=number.name, exit_code=128 + number)
    finally:
        os._exit(128 + number)
