from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

from renalseg.runtime import process


class FakeLimits:
    """Stands in for the module `resource`."""

    RLIMIT_STACK = 3
    RLIM_INFINITY = -1

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)

    def getrlimit(self, _which: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        self.limits = limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((8, -1), (32, -1)),
        ((8, 16), (16, 16)),
        ((8, 64), (32, 64)),
        ((64, -1), (64, -1)),
        ((-1, -1), (-1, -1)),
    ],
)
def test_stack_limit_is_raised_within_the_hard_limit_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: tuple[int, int]
) -> None:
    limits = FakeLimits(*before)
    monkeypatch.setitem(sys.modules, "resource", limits)
    process.raise_stack_limit(32)
    assert limits.limits == after


def test_log_level_of_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLOSCAN_LOG_LEVEL", "DEBUG")
    with warnings.catch_warnings():
        process.hide_chatter()
    assert os.environ["HOLOSCAN_LOG_LEVEL"] == "DEBUG"


def said(message: str, category: str, *flags: str) -> bool:
    """Whether a new Python, prepared, shows a warning."""
    program = (
        "import warnings; from renalseg.runtime import process; process.prepare();"
        f"warnings.warn({message!r}, {category})"
    )
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, check=True
    )
    return message in done.stderr


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("Current stack size (8.0 MB) is below", "RuntimeWarning"),
        ("parsing config_file x.yaml: any", "UserWarning"),
        ("`torch.x` is deprecated", "FutureWarning"),
    ],
)
def test_known_chatter_is_hidden(message: str, category: str) -> None:
    assert not said(message, category)


@pytest.mark.parametrize("category", ["RuntimeWarning", "UserWarning"])
def test_other_warnings_stay(category: str) -> None:
    assert said("overflow encountered in cast", category)


def test_filters_of_the_user_stay() -> None:
    assert said("`torch.x` is deprecated", "FutureWarning", "-W", "always")


def test_preparing_imports_nothing_heavy() -> None:
    program = (
        "import sys; from renalseg import errors; from renalseg.commands import monai_deploy;"
        "from renalseg.runtime import cuda_runtime, process; process.prepare();"
        "print({'monai', 'torch', 'numpy', 'holoscan'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_leaving_flushes_what_was_printed_and_runs_what_was_registered() -> None:
    code = (
        "import atexit; from renalseg.runtime.process import leave; "
        "atexit.register(print, 'registered'); print('printed'); leave(75)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["printed", "registered"]
    assert done.returncode == 75


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("RuntimeError('wrapped') from InputError('a sentence')", 2, "a sentence"),
        ("RetryableError('later')", 75, "later"),
        ("RuntimeError('wrapped') from OSError(28, 'no room')", 75, "the disk is full"),
    ],
)
def test_an_error_of_the_project_is_one_sentence(raised: str, code: int, said: str) -> None:
    done = raise_in_a_program(raised)
    assert done.returncode == code
    assert done.stderr.startswith(f"renalseg: error: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_fault_keeps_its_traceback() -> None:
    done = raise_in_a_program("ZeroDivisionError('odd')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def raise_in_a_program(raised: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from renalseg.errors import *; from renalseg.runtime.process import end_in_one_sentence; "
        f"end_in_one_sentence(); raise {raised}"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
