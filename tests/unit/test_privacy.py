from __future__ import annotations

import errno
import io
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.damage import damage_refused
from renalseg.errors import InputError, exit_code_for
from renalseg.runtime import privacy
from renalseg.runtime.privacy import (
    HIDDEN,
    format_traceback,
    hash_uid,
    message_of,
    reason_of,
    redact,
)

UID = "1.2.840.113619.2.55.3"


@pytest.fixture(autouse=True)
def salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "_salt", lambda: b"salt")


def caught(statement: str) -> Exception:
    try:
        exec(statement, {"Dataset": Dataset, "InputError": InputError})
    except Exception as error:
        return error
    raise AssertionError("no error")


def raised_by_pydicom() -> Exception:
    return caught("Dataset()['Doe^Jane']")


def test_an_error_of_the_libraries_is_named_without_its_message() -> None:
    error = raised_by_pydicom()
    assert message_of(error) == f"{type(error).__name__} {HIDDEN}"
    assert "Doe" not in format_traceback(error)
    assert "Traceback" in format_traceback(error)


def test_the_cause_of_our_own_error_is_hidden_and_ours_is_shown() -> None:
    error = InputError("expected a number")
    error.__cause__ = raised_by_pydicom()
    assert message_of(error) == "expected a number"
    shown = format_traceback(error)
    assert "Doe" not in shown
    assert "InputError: expected a number" in shown


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        ("renalseg.networks.mrb", True),
        ("renalseg.dicom.tags", False),
        ("renalseg.commands.summary", False),
    ],
)
def test_a_message_is_shown_if_it_comes_from_where_no_header_is(module: str, shown: bool) -> None:
    with pytest.raises(ValueError, match="Doe") as raised:
        exec("raise ValueError('Doe^Jane')", {"__name__": module})
    assert ("Doe" in message_of(raised.value)) is shown


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("from json import no_such_name", "cannot import name 'no_such_name'"),
        ("raise MemoryError('Unable to allocate 3 GiB')", "Unable to allocate 3 GiB"),
        ("None.Rows", "'NoneType' object has no attribute 'Rows'"),
        ("absent", "name 'absent' is not defined"),
        ("[][1]", "list index out of range"),
        ("1 / 0", "division by zero"),
        ("len(1)", "object of type 'int' has no len()"),
        ("import sqlite3; sqlite3.connect('/absent/jobs.db')", "unable to open database file"),
        ("import subprocess; subprocess.run(['false'], check=True)", "'false'"),
    ],
)
@pytest.mark.parametrize("module", ["renalseg.dicom.tags", "renalseg.output.objects", "app.run"])
def test_what_quotes_no_header_is_shown_wherever_it_comes_from(
    module: str, statement: str, message: str
) -> None:
    with pytest.raises(Exception, match=re.escape(message)) as raised:
        exec(statement, {"__name__": module})
    assert message in message_of(raised.value)
    assert message in reason_of(raised.value)
    assert message in format_traceback(raised.value)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OSError(28, 'No space left on device', 'x.dcm')", "the disk is full"),
        ("OSError('With tag PatientName Doe^Jane: No space left on device')", "the disk is full"),
        ("RuntimeError('Doe: out of memory')", "out of memory"),
    ],
)
def test_what_ran_out_is_said_also_where_the_message_is_hidden(error: str, reason: str) -> None:
    with pytest.raises((OSError, RuntimeError)) as raised:
        exec(f"raise {error}", {"__name__": "pydicom.filewriter"})
    assert reason_of(raised.value).startswith(reason)
    assert "Doe" not in reason_of(raised.value)


@pytest.mark.parametrize(
    "statement", ["raise TypeError('Doe')", "raise ValueError('Doe')", "{}['Doe']", "int('Doe')"]
)
def test_what_the_libraries_raise_stays_hidden(statement: str) -> None:
    with pytest.raises(Exception, match="Doe") as raised:
        exec(statement, {"__name__": "pydicom.valuerep"})
    assert "Doe" not in message_of(raised.value) + reason_of(raised.value)
    assert "Doe" not in format_traceback(raised.value)


def test_a_missing_package_is_no_damage() -> None:
    with pytest.raises(ImportError), damage_refused("the series cannot be read"):
        exec("import no_such_package", {"__name__": "pydicom.pixels"})


def test_what_the_system_says_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    error = caught(f"open({str(path)!r})")
    assert message_of(error) == f"No such file or directory: {path}"


def test_uids_are_replaced_by_their_hashes() -> None:
    assert redact(f"series {UID} was skipped.") == f"series uid:{hash_uid(UID)} was skipped."
    assert hash_uid(UID) != hash_uid(UID + ".1")


@pytest.mark.parametrize(
    "uid",
    [
        f"2.25.{2**127 + 1}",
        "2.25.7",
        "1.2.840.10008.5",
        "1.3.20240101",
        "1.28401136.7",
        "1.2.0.4",
    ],
)
@pytest.mark.parametrize("around", ["{}", "series {}.", "/a/{}.seg.dcm", "x.{}", "({})", "[{}]:"])
def test_uids_of_every_form_are_replaced(uid: str, around: str) -> None:
    assert redact(around.format(uid)) == around.format(f"uid:{hash_uid(uid)}")


@pytest.mark.parametrize(
    "text",
    [
        *("2.5 mm of 1.5", "version 1.2.3", "at z=-140.25 mm", "0.30000000000000004 mm"),
        *("torch 2.13.0", "2026-11-30T01:44:32.123", "127.0.0.1"),
    ],
)
def test_numbers_stay(text: str) -> None:
    assert redact(text) == text


def test_names_of_input_files_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "Doe Jane" / "IM 1.dcm"
    path.parent.mkdir()
    path.touch()
    text = redact(f"{path}: PixelSpacing is missing in {tmp_path}", tmp_path)
    name = f"<input>/file:{hash_uid('/Doe Jane/IM 1.dcm')}"
    assert text == f"{name}: PixelSpacing is missing in <input>"


def test_the_same_salt_gives_the_same_hash_in_every_process() -> None:
    program = f"from renalseg.runtime.privacy import hash_uid; print(hash_uid({UID!r}))"
    command = [sys.executable, "-c", program]

    def run(**environment: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout

    assert run(RENALSEG_LOG_SALT="a") == run(RENALSEG_LOG_SALT="a")
    assert len({run(RENALSEG_LOG_SALT="a"), run(RENALSEG_LOG_SALT="b"), run(), run()}) == 4


def test_warnings_of_the_libraries_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: shown.append(str(message))
        privacy.hide_header_values()
        exec("import warnings; warnings.warn('Doe')", {"__name__": "pydicom.valuerep"})
        exec("import warnings; warnings.warn('Doe')", {"__name__": "renalseg.dicom.tags"})
        exec("import warnings; warnings.warn('overflow')", {"__name__": "renalseg.networks"})
    assert shown == ["overflow"]


def test_damage_that_the_libraries_find_is_refused_without_the_value() -> None:
    with (
        pytest.raises(InputError, match="the series cannot be read: a header") as refused,
        damage_refused("the series cannot be read"),
    ):
        Dataset()["Doe^Jane"]
    assert "Doe" not in str(refused.value)


def test_a_fault_of_the_project_is_no_damage() -> None:
    with pytest.raises(KeyError), damage_refused("the series cannot be read"):
        raise KeyError("ours")


def test_a_full_disk_is_no_damage() -> None:
    """pydicom wraps what the system says into an error without a number."""

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    file = Full()
    dataset = Dataset()
    dataset.PatientID = "x"
    with (
        pytest.raises(OSError, match="No space") as raised,
        damage_refused("the segmentation cannot be made"),
    ):
        dataset.save_as(file, implicit_vr=False, little_endian=True)
    assert exit_code_for(raised.value) == 75
