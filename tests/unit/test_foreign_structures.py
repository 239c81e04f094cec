from __future__ import annotations

import numpy as np
import pytest

from renalseg.errors import ConfigError
from renalseg.inference.foreign.structures import find_structures, parse_labels
from renalseg.labels import CYST, KIDNEY, TUMOR


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        ({"background": 0, "kidney": 1, "tumor": 2}, {1: KIDNEY, 2: TUMOR}),
        # KiTS23 as nnU-Net converts it: the value that each region is painted with
        ({"kidney": 1, "masses": 3, "tumor": 2}, {1: KIDNEY, 3: CYST, 2: TUMOR}),
        ({"background": 0, "Kidney": 1, "Mass": 2}, {1: KIDNEY, 2: TUMOR}),
        (
            {"kidney_right": 2, "kidney_left": 3, "adrenal_gland_right": 8, "liver": 5},
            {2: KIDNEY, 3: KIDNEY},
        ),
        ({"kidney_cyst_left": 1, "kidney_cyst_right": 2}, {1: CYST, 2: CYST}),
        ({"renal parenchyma": 1, "Renal Cell Carcinoma": 2, "cysts": 3}, {1: 1, 2: 2, 3: 3}),
        ({"Kidney-Tumour": 4, "liver tumor": 5, "pancreatic cyst": 6}, {4: TUMOR}),
        ({"Renal Cortex": 1, "renal medulla": 2, "renal vein": 3}, {1: KIDNEY, 2: KIDNEY}),
        ({"kidneys": 1, "left": 2, "lung cortex": 3, "right": 4}, {1: KIDNEY}),
    ],
)
def test_names_say_what_labels_mean(names: dict[str, int], kinds: dict[int, int]) -> None:
    assert find_structures(names, None, "a model").kinds == kinds


def test_names_of_other_organs_are_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"in a model, found background=0, liver=1: .*--labels"):
        find_structures({"background": 0, "liver": 1}, None, "a model")


def test_what_is_said_goes_before_the_names() -> None:
    names = {"background": 0, "kidney": 1, "tumor": 2, "thing": 3, "other": 4}
    labels = parse_labels("tumor=3+tumor, kidney=4")
    assert labels == {"tumor": [3, "tumor"], "kidney": [4]}
    assert find_structures(names, labels, "a model").kinds == {3: TUMOR, 2: TUMOR, 4: KIDNEY}
    assert find_structures(names, {"cyst": 3}, "a model").kinds == {3: CYST}


@pytest.mark.parametrize(
    "text", ["", "kidney", "kidney=", "liver=1", "kidney=1,kidney=2", "kidney=1+", "Kidney=1"]
)
def test_a_text_without_labels_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"kidney=1,tumor=2,cyst=3, of kidney, tumor, cyst, got"):
        parse_labels(text)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"kidney": 7}, r"Unknown label 7 for kidney in a model, which has background=0, one=1"),
        ({"tumor": ["two"]}, r"Unknown label 'two' for tumor"),
        ({"tumor": 0}, r"Unknown label 0"),
        ({"tumor": True}, r"Unknown label True"),
        ({"kidney": 1, "tumor": "one"}, r"one structure for the label 'one'"),
        ({"liver": 1}, r"labels of kidney, tumor, cyst, .*got \{'liver': 1\}"),
        ({}, r"labels of kidney"),
        ("kidney", r"labels of kidney"),
    ],
)
def test_labels_that_the_model_lacks_are_refused(labels: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_structures({"background": 0, "one": 1}, labels, "a model")


def test_values_become_labels_and_all_others_background() -> None:
    structures = find_structures({"kidney": 2, "tumor": 9}, None, "a model")
    assert KIDNEY in structures
    assert CYST not in structures
    found = structures.of_values(np.array([[0, 1, 2, 9, 255, 300]], np.uint16))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 0, KIDNEY, TUMOR, 0, 0]]
