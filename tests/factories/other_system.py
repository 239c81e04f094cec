"""What another operating system lacks, hidden from the modules of the project and from no others.

``python other_system.py windows COMMAND ...`` runs the command line of the project so, and
``python other_system.py windows import`` imports each of its modules, ``commands`` starts each
command.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import importlib
import io
import pkgutil
import sys
from types import ModuleType
from typing import Any

ABSENT_MODULES = {
    "windows": {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"},
    "macos": set(),
}
# Of the module's documentation: "Availability: Unix" or "Linux".
ABSENT_NAMES = {
    "windows": {
        "os": {
            *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "chown", "fchmod", "fork"),
            *("getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getuid", "killpg"),
            *("mkfifo", "nice", "posix_fadvise", "posix_spawn", "pread", "pwrite", "setsid"),
            *("sched_getaffinity", "statvfs", "sync", "sysconf", "uname", "wait3", "wait4"),
        },
        "signal": {
            *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2"),
            *("SIG_BLOCK", "pthread_sigmask", "sigtimedwait", "sigwait", "sigwaitinfo"),
        },
        "select": {"poll", "epoll"},
        "time": {"CLOCK_BOOTTIME", "tzset"},
    },
    "macos": {
        "os": {"O_TMPFILE", "memfd_create", "posix_fadvise", "sched_getaffinity", "sendfile"},
        "signal": {"sigtimedwait", "sigwaitinfo"},
        "select": {"epoll"},
        "time": {"CLOCK_BOOTTIME"},
    },
}
OS_NAME = {"windows": "nt", "macos": "posix"}


class Without(ModuleType):
    """A module without some of its names."""

    def __init__(self, module: ModuleType, absent: set[str], **other: Any) -> None:
        super().__init__(module.__name__)
        self._module, self._absent, self._other = module, absent, other

    def __getattr__(self, name: str) -> Any:
        if name in self._absent:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return self._other[name] if name in self._other else getattr(self._module, name)


def hide(system: str) -> None:
    """Hides what a system lacks from what the project imports from now on."""
    real = builtins.__import__
    other = {"os": {"name": OS_NAME[system]}}

    def import_(
        name: str, globals_: Any = None, locals_: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        caller = str((globals_ or {}).get("__name__", "")).partition(".")[0]
        if level or caller not in ("renalseg", "app"):
            return real(name, globals_, locals_, fromlist, level)
        if name in ABSENT_MODULES[system]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = real(name, globals_, locals_, fromlist, level)
        absent = ABSENT_NAMES[system].get(name)
        return Without(module, absent, **other.get(name, {})) if absent else module

    builtins.__import__ = import_


def import_all() -> None:
    """Imports each module of the project."""
    import renalseg

    count = 0
    for found in pkgutil.walk_packages(renalseg.__path__, "renalseg."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
            count += 1
    sys.stdout.write(f"{count}\n")


def start_all() -> None:
    """Starts each command, as far as its help, and prints its name."""
    from renalseg.commands.main import _parser, main

    (commands,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name in commands.choices:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code: object = None
            try:
                main([name, "--help"])
            except SystemExit as ended:
                code = ended.code
        if code or name not in said.getvalue():
            sys.exit(f"{name} does not start")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    hide(sys.argv[1])
    if sys.argv[2:] == ["commands"]:
        start_all()
        sys.exit()
    if sys.argv[2:] == ["import"]:
        from renalseg.runtime.process import prepare

        prepare()
        import_all()
    else:
        sys.argv[1:2] = []
        from renalseg.commands.main import program

        program()
