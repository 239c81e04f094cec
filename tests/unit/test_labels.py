from __future__ import annotations

import pytest

from renalseg.labels import BACKGROUND, CYST, KIDNEY, LABELS, LATERALITY, TUMOR, Segment, Side


def test_values_are_those_of_the_tumor_bundles() -> None:
    assert (BACKGROUND, KIDNEY, TUMOR) == (0, 1, 2)
    assert CYST == 3
    assert set(LABELS) == {KIDNEY, TUMOR, CYST}


@pytest.mark.parametrize(
    ("kind", "code"), [(KIDNEY, "64033007"), (TUMOR, "4147007"), (CYST, "367643001")]
)
def test_type_codes(kind: int, code: str) -> None:
    assert LABELS[kind].type.value == code
    assert LABELS[kind].type.scheme == "SCT"


def test_a_tumor_is_never_coded_as_proven() -> None:
    assert "702391001" not in {info.type.value for info in LABELS.values()}


def test_a_tumor_lies_in_a_kidney() -> None:
    assert LABELS[TUMOR].region == LABELS[CYST].region == LABELS[KIDNEY].type


def test_kidneys_tumors_and_cysts_have_colors_of_their_own() -> None:
    kidneys = [Segment(n, "", KIDNEY, side, 1.0) for n, side in enumerate(Side, start=1)]
    tumors = [Segment(n, "", TUMOR, Side.LEFT, 1.0) for n in range(3, 8)]
    cysts = [Segment(n, "", CYST, Side.RIGHT, 1.0) for n in range(8, 12)]
    colors = [segment.rgb for segment in (*kidneys, *tumors, *cysts)]
    for number, one in enumerate(colors):
        for other in colors[:number]:
            assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 60


def test_sides() -> None:
    assert LATERALITY[Side.LEFT].value == "7771000"
    assert LATERALITY[Side.RIGHT].value == "24028007"


def test_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        LABELS[3] = LABELS[KIDNEY]  # type: ignore[index]
