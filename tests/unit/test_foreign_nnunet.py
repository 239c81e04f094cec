"""What is known of a model folder of nnU-Net before nnU-Net is asked; it need not be installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from renalseg.errors import ConfigError
from renalseg.inference.foreign import nnunet_folder
from renalseg.inference.foreign.nnunet import NnUNet
from renalseg.inference.foreign.nnunet_folder import (
    KNOBS,
    choose_folds,
    label_values,
    training_axes,
)
from tests.factories.nnunet import REGIONS, write_model

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(nnunet_folder, "version", lambda folder: "2.8.1")
    return write_model(tmp_path / "Dataset220_KiTS2023" / "nnUNetTrainer__nnUNetPlans__3d_fullres")


def load(folder: Path, **values: Any) -> NnUNet:
    return NnUNet(folder, CPU, False, {**KNOBS, **values})


def test_without_nnunetv2_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'renalseg\[nnunet\]'"):
        nnunet_folder.version(Path("model"))


def test_the_files_that_decide_are_listed_with_all_folds(folder: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in nnunet_folder.files(folder)]
    assert names == [
        *("dataset.json", "plans.json"),
        *("fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"),
    ]


@pytest.mark.parametrize("name", ["dataset.json", "plans.json"])
def test_a_folder_that_is_none_is_refused_with_what_is_absent(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"model folder of nnU-Net v2.*no {name} in {folder}"):
        load(folder)


def test_one_folder_too_high_says_where_it_is(folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"found no dataset.json .*; there is one in {folder}"):
        nnunet_folder.files(folder.parent)


def test_a_model_without_checkpoints_is_refused(folder: Path) -> None:
    for path in folder.glob("fold_*/*.pth"):
        path.unlink()
    with pytest.raises(ConfigError, match=f"found no checkpoint in {folder}"):
        load(folder)


def test_another_checkpoint_than_there_are_is_refused_with_those(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"fold_\*/best.pth .*\['checkpoint_final.pth'\]"):
        load(folder, checkpoint="best.pth")


def test_all_folds_run_unless_some_are_chosen(folder: Path) -> None:
    name = "checkpoint_final.pth"
    (folder / "fold_all").mkdir()
    (folder / "fold_all" / name).touch()
    assert choose_folds(folder, None, name) == (0, 1)
    assert choose_folds(folder, [1], name) == (1,)
    assert choose_folds(folder, "all", name) == ("all",)
    with pytest.raises(ConfigError, match=r"for the folds \[4\]"):
        choose_folds(folder, 4, name)
    for fold in (0, 1):
        (folder / f"fold_{fold}" / name).unlink()
    assert choose_folds(folder, None, name) == ("all",)


def test_two_channels_are_refused(folder: Path) -> None:
    write_model(folder, channels=2)
    with pytest.raises(ConfigError, match=r"one channel, CT, found the channels \{'0': 'CT', '1'"):
        load(folder)


def test_a_model_of_other_organs_is_refused(folder: Path) -> None:
    write_model(folder, labels={"background": 0, "liver": 1})
    with pytest.raises(ConfigError, match=r"label for kidney, tumor or cyst in .*liver=1"):
        load(folder)


def test_an_unknown_label_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"Unknown label 'lump' for tumor in .*masses=3"):
        load(folder, labels={"tumor": "lump"})


@pytest.mark.parametrize("text", ["[", "[1]"])
def test_broken_json_is_refused_by_name(folder: Path, text: str) -> None:
    (folder / "dataset.json").write_text(text)
    with pytest.raises(ConfigError, match=r"dataset\.json"):
        load(folder)


@pytest.mark.parametrize("labels", [None, {"kidney": "one"}, {"kidney": [1, 2]}])
def test_labels_without_values_are_refused(folder: Path, labels: object) -> None:
    with pytest.raises(ConfigError, match=r"labels with their values in .*dataset\.json"):
        label_values({"labels": labels}, folder)


def test_regions_have_the_values_that_they_are_painted_with(folder: Path) -> None:
    dataset = {"labels": REGIONS, "regions_class_order": [1, 3, 2]}
    assert label_values(dataset, folder) == {"kidney": 1, "masses": 3, "tumor": 2}
    flat = {"background": 0, "kidney": [1], "tumor": 2, "ignore": 3}
    expected = {"background": 0, "kidney": 1, "tumor": 2}
    assert label_values({"labels": flat}, folder) == expected


def plans(
    spacing: list[float], forward: list[int], reader: str = "SimpleITKIO"
) -> dict[str, object]:
    return {
        "original_median_spacing_after_transp": spacing,
        "transpose_forward": forward,
        "image_reader_writer": reader,
    }


AXIAL_LAST = plans([5.0, 0.7, 0.7], [0, 1, 2])
AXIAL_FIRST = plans([3.0, 0.8, 0.8], [2, 0, 1])  # as the files of KiTS


@pytest.mark.parametrize(
    ("content", "given", "axes"),
    [
        (AXIAL_LAST, None, "RAS"),
        (AXIAL_FIRST, "IPL", "IPL"),
        (plans([3.0, 0.8, 0.8], [2, 0, 1], "NibabelIOWithReorient"), None, "RAS"),
        (AXIAL_LAST, "LPS", "LPS"),
        (plans([1.5, 1.5, 1.5], [0, 1, 2]), None, "RAS"),
        ({}, None, "RAS"),
    ],
)
def test_the_axes_are_those_of_the_training_files(
    content: dict[str, object], given: str | None, axes: str, tmp_path: Path
) -> None:
    assert training_axes(content, given, tmp_path) == axes


def test_files_that_were_stored_otherwise_need_their_axes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"slices along the last axis.*--set tumor\.axes=IPL"):
        training_axes(AXIAL_FIRST, None, tmp_path)


@pytest.mark.parametrize("axes", ["LP", "LPP", "LRS", "lps", "LPSS", 3])
def test_axes_that_are_none_are_refused(axes: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="axes such as LPS, RAS or IPL, got"):
        training_axes(AXIAL_LAST, axes, tmp_path)


def test_plans_are_read_from_the_folder(folder: Path) -> None:
    (folder / "plans.json").write_text(json.dumps(AXIAL_FIRST))
    with pytest.raises(ConfigError, match=str(folder / "plans.json")):
        load(folder)
