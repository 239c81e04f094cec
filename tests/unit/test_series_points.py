"""What the header says of the part of the body."""

from __future__ import annotations

import pytest

from renalseg.dicom.read.series_points import body_part_points, names_another_part

ABDOMEN, NOTHING, ELSEWHERE, CHEST = 2.0, 0.0, -6.0, -2.0


@pytest.mark.parametrize(
    ("texts", "points"),
    [
        ("NEURO HEAD ROUTINE NEURO", NOTHING),
        ("NEURORADIOLOGY", NOTHING),
        ("AEROSPACE", NOTHING),
        ("RECAP SPINE", NOTHING),
        ("STAPLE CHECK", NOTHING),
        ("SHOULDER ABDUCTION", NOTHING),
        ("URO CT", ABDOMEN),
        ("CT_UROGRAM_5.0", ABDOMEN),
        ("3URO", ABDOMEN),
        ("ABD PV", ABDOMEN),
        ("TX_ABD_PEL", ABDOMEN),
        ("THORAXABDOMEN", ABDOMEN),
        ("INTRAABDOMINAL", ABDOMEN),
        ("TAP", ABDOMEN),
        ("ADRENAL PROTOCOL", ABDOMEN),
        ("WHOLEBODY", ABDOMEN),
    ],
)
def test_free_text_is_read_word_by_word(texts: str, points: float) -> None:
    assert body_part_points("", texts) == points


@pytest.mark.parametrize(
    ("told", "points"),
    [
        ("HEAD", ELSEWHERE),
        ("HEADNECK", ELSEWHERE),
        ("NEURO", ELSEWHERE),
        ("TSPINE", ELSEWHERE),
        ("LOWERLEG", ELSEWHERE),
        ("ABDOMEN", ABDOMEN),
        ("CHESTABDPELVIS", ABDOMEN),
        ("CHEST_ABDOMEN", ABDOMEN),
        ("CHEST", CHEST),
        ("BREAST", NOTHING),
        ("LSPINE", NOTHING),
    ],
)
def test_the_body_part_goes_before_free_text(told: str, points: float) -> None:
    assert body_part_points(told, "ABDOMEN") == points


@pytest.mark.parametrize(
    ("told", "other"),
    [("Head", True), ("NEURO", True), ("ABDOMEN HEAD", False), ("CHEST", False), ("", False)],
)
def test_another_part_of_the_body(told: str, other: bool) -> None:
    assert names_another_part(told) == other
