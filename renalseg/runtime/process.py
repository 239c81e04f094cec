"""Prepares a process for the libraries that it is about to import.

``import monai`` imports the MONAI Deploy SDK where that is installed, so this concerns
``renalseg run`` as much as the application.
"""

from __future__ import annotations

import atexit
import mmap
import os
import sys
import warnings
from typing import NoReturn

from renalseg.errors import RetryableError
from renalseg.runtime.caches import use_writable_folders
from renalseg.runtime.privacy import hide_header_values

STACK_BYTES = 32 * 1024 * 1024
"""What Holoscan recommends."""

LEAST_BYTES = 3 << 29
"""Address space below which the libraries cannot start: 1.5 GiB."""

LOG_LEVEL = "HOLOSCAN_LOG_LEVEL"


def prepare(*, verbose: bool = False) -> None:
    """Raise the limits and hide the chatter of the libraries; call it before importing them.

    Args:
        verbose: Hide nothing but what may quote a patient's data.
    """
    raise_stack_limit()
    use_writable_folders()
    hide_header_values()
    if not verbose:
        hide_chatter()


def raise_stack_limit(wanted: int = STACK_BYTES) -> None:
    """Raise the soft limit of the stack to `wanted` bytes, or to the hard limit if that is less.

    It holds for this process' main thread and for all threads of the processes that it starts.
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
    """Ends a run that cannot go well before the libraries do: some of them exit without a word.

    Args:
        least: Bytes of address space; none is used.

    Raises:
        RetryableError: There is less, by a limit (``ulimit -v``) or for want of memory.
    """
    try:
        mmap.mmap(-1, least).close()
    except OSError as error:
        raise RetryableError(
            f"out of memory: expected at least {least / 2**30:.1f} GiB of address space, found "
            "less; raise the limit (ulimit -v), or take a machine that has more"
        ) from error


def leave(code: int) -> NoReturn:
    """End the process at once, as the last thing that a program does.

    The interpreter would first take apart every module that it has imported, which with torch takes
    half a second. What was registered to run at the end still runs.

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


def hide_chatter() -> None:
    """Hide what the libraries say on every run, and nothing that says what went wrong.

    What the user has set (HOLOSCAN_LOG_LEVEL, PYTHONWARNINGS, python -W) goes before it.
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
