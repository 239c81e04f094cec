from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from tools.markdown import marks, put_between, table

BEGIN, END = marks("one")


def test_text_replaces_only_what_is_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    other = "\n".join(marks("two"))
    path.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\n{other}\nAfter\n")
    for text in ("first\n", "second\n"):
        put_between(path, "one", text)
    assert path.read_text() == f"# Before\n\n{BEGIN}\n\nsecond\n\n{END}\n\n{other}\nAfter\n"


def test_a_new_document_can_be_filled_again(tmp_path: Path) -> None:
    put_between(tmp_path / "new.md", "one", "first")
    put_between(tmp_path / "new.md", "one", "second")
    assert (tmp_path / "new.md").read_text() == f"{BEGIN}\n\nsecond\n\n{END}\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}" * 2])
def test_a_document_without_a_place_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"page\.md"):
        put_between(path, "one", "table")
    assert path.read_text() == text


def test_a_table_aligns_its_numbers_to_the_right() -> None:
    lines = table(("name", "count"), [("a", "1")], numbers=slice(1, 2))
    assert lines == ["| name | count |", "| --- | ---: |", "| a | 1 |"]


def test_a_bar_in_a_cell_divides_no_cell() -> None:
    assert table(("name",), [("unet|sehdc",)], slice(0))[-1] == r"| unet\|sehdc |"
