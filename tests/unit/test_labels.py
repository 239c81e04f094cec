from __future__ import annotations

import pytest

from renalseg.labels import BACKGROUND, KIDNEY, LABELS, LATERALITY, TUMOR, Side


def test_values_are_those_of_the_tumor_bundles() -> None:
    assert (BACKGROUND, KIDNEY, TUMOR) == (0, 1, 2)
    assert set(LABELS) == {KIDNEY, TUMOR}


@pytest.mark.parametrize(("kind", "code"), [(KIDNEY, "64033007"), (TUMOR, "4147007")])
def test_type_codes(kind: int, code: str) -> None:
    assert LABELS[kind].type.value == code
    assert LABELS[kind].type.scheme == "SCT"


def test_a_tumor_is_never_coded_as_proven() -> None:
    assert "702391001" not in {info.type.value for info in LABELS.values()}


def test_a_tumor_lies_in_a_kidney() -> None:
    assert LABELS[TUMOR].region == LABELS[KIDNEY].type


def test_sides() -> None:
    assert LATERALITY[Side.LEFT].value == "7771000"
    assert LATERALITY[Side.RIGHT].value == "24028007"


def test_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        LABELS[3] = LABELS[KIDNEY]  # type: ignore[index]
