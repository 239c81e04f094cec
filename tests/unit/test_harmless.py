from __future__ import annotations

import pytest

from renalseg.runtime.harmless import csv_cell, one_line


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain text, 1.2.3", "plain text, 1.2.3"),
        ("Müller 山田 Иванов عربي", "Müller 山田 Иванов عربي"),
        ("1.2\nrenalseg: done", "1.2 renalseg: done"),
        ("a\r\nb\tc\u2028d\x85e", "a  b c d e"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("gnp\u202efdp.exe", "gnp\\u202efdp.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("name\udcff.dcm", "name\\udcff.dcm"),
    ],
)
def test_nothing_but_visible_text_on_one_line_is_printed(text: str, safe: str) -> None:
    assert one_line(text) == safe
    safe.encode()  # what is left can be written to any terminal


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n@"])
def test_a_cell_is_no_formula(start: str) -> None:
    cell = csv_cell(f"{start}cmd|' /C calc'!A0")
    assert str(cell).startswith("'")
    assert not set(str(cell)) & {"\t", "\r", "\n"}


@pytest.mark.parametrize("value", ["-1.5", "+3", "12", "no tumor found", "a-b", "", 7, -2.5])
def test_numbers_and_plain_text_stay_in_a_cell(value: object) -> None:
    assert csv_cell(value) == value
