from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from renalseg.runtime import log
from renalseg.runtime.privacy import hash_uid

UID = "1.2.840.113619.2.55.3"


@pytest.fixture
def as_json() -> Iterator[None]:
    log.start(as_json=True)
    yield
    log.start()


def test_lines_are_for_people_unless_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    log.say("Reading", "stage began", stage="read")
    log.note("stage ended", stage="read")
    assert capsys.readouterr().err == "Reading\n"


def test_the_environment_asks_for_json(monkeypatch: pytest.MonkeyPatch, as_json: None) -> None:
    monkeypatch.setenv("RENALSEG_LOG", "json")
    log.start()
    assert log.in_json()


@pytest.mark.usefixtures("as_json")
def test_a_line_has_time_level_event_study_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with log.about_study(UID):
        log.say("Reading\nit", "stage began", stage="read")
    (line,) = capsys.readouterr().err.splitlines()
    stored = json.loads(line)
    assert stored.pop("time").endswith("+00:00")
    assert stored == {
        **{"level": "info", "event": "stage began", "study": hash_uid(UID)},
        **{"message": "Reading\nit", "stage": "read"},
    }


@pytest.mark.parametrize("text", ["JSON", " json "])
def test_json_is_asked_for_in_any_case(
    monkeypatch: pytest.MonkeyPatch, as_json: None, text: str
) -> None:
    monkeypatch.setenv("RENALSEG_LOG", text)
    log.start()
    assert log.in_json()


def test_another_form_of_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENALSEG_LOG", "true")
    with pytest.raises(ConfigError, match="text or json for RENALSEG_LOG, got 'true'"):
        log.start()


@pytest.mark.usefixtures("as_json")
def test_each_thread_can_be_about_its_own_study(capsys: pytest.CaptureFixture[str]) -> None:
    def read(uid: str | None, event: str) -> None:
        with log.thread_about_study(uid):
            log.note(event)

    with log.about_study("1.1"), ThreadPoolExecutor(1) as pool:
        pool.submit(read, "1.2", "read ahead").result()
        pool.submit(read, None, "looked ahead").result()
        pool.submit(log.note, "of a stage").result()
        with log.about_study("1.3"):
            log.note("inner")
        log.note("outer")
    log.note("after")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("study")) for line in lines] == [
        ("read ahead", hash_uid("1.2")),
        ("looked ahead", None),
        ("of a stage", hash_uid("1.1")),
        ("inner", hash_uid("1.3")),
        ("outer", hash_uid("1.1")),
        ("after", None),
    ]


@pytest.mark.usefixtures("as_json")
def test_no_uid_is_in_any_field(capsys: pytest.CaptureFixture[str]) -> None:
    uid = f"2.25.{2**120}"
    log.note("x", message=uid, files=[f"{uid}.seg.dcm"], studies={uid: (uid, 1)})
    assert str(2**120) not in capsys.readouterr().err


@pytest.mark.usefixtures("as_json")
def test_warnings_and_logs_of_libraries_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.say("Warning: 8 slices")
    logging.getLogger("library").warning("low on %s", "space")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = log._show_warning
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"], line["message"]) for line in lines] == [
        ("warning", "warning", "8 slices"),
        ("warning", "log", "low on space"),
        ("warning", "warning", "overflow"),
    ]


@pytest.mark.usefixtures("as_json")
def test_no_uid_and_no_name_of_a_file_is_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Doe").touch()
    log.start(as_json=True, folder=tmp_path)
    log.say("Doe: done", message=f"{tmp_path / 'Doe'}: done, {UID}")
    shown = capsys.readouterr().err
    assert "Doe" not in shown
    assert UID not in shown
