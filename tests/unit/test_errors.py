from __future__ import annotations

import errno

import pytest

from renalseg.errors import (
    ConfigError,
    InputError,
    RenalSegError,
    RetryableError,
    exit_code_for,
    plural,
)


class OutOfMemoryError(RuntimeError):
    """Stands for the error of torch, which is known by its name."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (ConfigError("x"), 2),
        (RetryableError("x"), 75),
        (RenalSegError("x"), 1),
        (MemoryError(), 75),
        (OutOfMemoryError("CUDA out of memory"), 75),
        (OSError(errno.ENOSPC, "full"), 75),
        (OSError(errno.EDQUOT, "quota"), 75),
        (OSError(errno.EFBIG, "file too large"), 75),
        (OSError(errno.EIO, "input/output error"), 75),
        (OSError(errno.EMFILE, "too many open files"), 75),
        (OSError(errno.EACCES, "denied"), 1),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 75),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), 75),
        (RuntimeError("Exception from src/dev/plugin.cpp:54:\ncan't alloc\n"), 75),
        (RuntimeError("std::bad_alloc"), 75),
        (RuntimeError("can't start new thread"), 75),
        (RuntimeError("basic_ios::clear: No space left on device"), 75),
        (RuntimeError("shapes do not match"), 1),
        (ImportError("no module of that name"), 1),
        (ValueError("x"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_exit_code(error: BaseException, code: int) -> None:
    assert exit_code_for(error) == code


def test_exit_code_of_a_wrapped_error() -> None:
    wrapper = RuntimeError("a framework says that its component failed")
    wrapper.__cause__ = InputError("no CT")
    assert exit_code_for(wrapper) == 2


def test_exit_code_of_causes_in_a_circle() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert exit_code_for(first) == 1


def test_a_number_and_its_noun_agree() -> None:
    assert [plural(n, "slice") for n in (0, 1, 2, 1500)] == [
        *("0 slices", "1 slice", "2 slices", "1,500 slices")
    ]
    assert plural(2, "study", "studies") == "2 studies"
