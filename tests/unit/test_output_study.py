from __future__ import annotations

import pytest

from renalseg.dicom.tags import is_uid
from renalseg.errors import InputError
from renalseg.output.study import file_stem

GOOD = ("1.2.3", "2.25.329800735698586629295641978511506172918", "1.2.840.0.01", "1" * 64)
BAD = (
    *("", ".", "..", "../../EVIL", "/abs/path", "1.2.", ".1.2", "1..2", "1.2/3", "1.2\\3", "C:1"),
    *("1.2\n3", "1.2 ", " 1.2", "1.2\0", "1.2a", "-1.2", "1" * 65, "1.2.\u0663", "1.2.\u00b2"),
)


@pytest.mark.parametrize("text", GOOD)
def test_digits_and_dots_are_a_uid(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_uid_names_no_file(text: str) -> None:
    assert not is_uid(text)
    for study, series in ((text, "1.2"), ("1.2", text)):
        with pytest.raises(InputError, match="should be digits and dots") as refusal:
            file_stem(study, series)
        assert len(text) < 4 or text not in str(refusal.value)


def test_names_are_those_of_series_and_study() -> None:
    assert file_stem("1.2.3", "1.9") == file_stem("1.2.3", "1.9") == "1.9-c47f5b18"
    assert len({file_stem(study, "1.9") for study in ("1.2.3", "1.2.4", "1.23")}) == 3
    assert file_stem("1.2.3", "1.9") != file_stem("1.2.3", "1.8")
