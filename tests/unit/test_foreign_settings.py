"""References to models from elsewhere, in options, environment, settings and methods."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from renalseg.commands.methods import list_methods
from renalseg.errors import ConfigError
from renalseg.inference import models
from renalseg.inference.foreign import kinds, nnunet_folder
from renalseg.inference.foreign.stage import ForeignStage
from renalseg.inference.models import Models
from renalseg.inference.references import is_foreign, locate, parse_reference
from renalseg.output.study import weak_bundles
from renalseg.settings import Settings
from tests.factories.bundles import write_bundles
from tests.factories.nnunet import write_model
from tests.unit.test_foreign_stage import Painted

MODEL = Path("Dataset220_KiTS2023", "nnUNetTrainer__nnUNetPlans__3d_fullres")


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundles of a method "tiny", and a folder to work in with a model of nnU-Net."""
    monkeypatch.setattr(nnunet_folder, "version", lambda folder: "2.8.1")
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / MODEL)
    return write_bundles(tmp_path / "bundles")


def resolve(bundles: Path, **choices: object) -> Settings:
    return Settings.resolve(bundles=bundles, device="cpu", **{"method": "tiny", **choices})  # type: ignore[arg-type]


def test_a_tumor_model_of_nnunet_runs_after_a_localizer_of_ours(bundles: Path) -> None:
    choice = resolve(bundles, tumor=f"nnunet:{MODEL}").choice
    assert choice.named_stages == {
        "localizer": "kidney_tiny",
        "tumor": "nnunet_Dataset220_KiTS2023",
    }
    assert choice.folders == (bundles / "kidney_tiny", bundles.parent / MODEL)
    assert choice.algorithm == "tiny+nnunet_Dataset220_KiTS2023"
    name, version, fingerprint = choice.networks[-1].split()
    assert (name, version, len(fingerprint)) == ("nnunet_Dataset220_KiTS2023", "2.8.1", 16)
    assert str(bundles.parent) not in " ".join((choice.algorithm, *choice.software))
    assert all(len(text) <= 64 for text in choice.software)  # an LO of DICOM


def test_every_file_of_the_model_decides_the_fingerprint(bundles: Path) -> None:
    model = bundles.parent / MODEL
    before = resolve(bundles, tumor=f"nnunet:{MODEL}").choice.fingerprint
    marks = {before}
    for name in ("dataset.json", "plans.json", "fold_1/checkpoint_final.pth"):
        kept = (model / name).read_bytes()
        (model / name).write_bytes(kept + b" ")
        marks.add(resolve(bundles, tumor=f"nnunet:{MODEL}").choice.fingerprint)
        (model / name).write_bytes(kept)
    assert len(marks) == 4
    shutil.move(model, bundles.parent / "moved")
    moved = resolve(bundles, tumor="nnunet:moved").choice
    assert moved.fingerprint == before
    assert moved.named_stages["tumor"] == "nnunet_moved"


def test_a_model_alone_is_both_stages(bundles: Path) -> None:
    choice = resolve(bundles, method=f"nnunet:{MODEL}").choice
    assert choice.localizer == choice.tumor == f"nnunet:{bundles.parent / MODEL}"
    assert choice.algorithm == "nnunet_Dataset220_KiTS2023"


def test_every_place_takes_a_reference(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = resolve(bundles, tumor=f"nnunet:{MODEL}", labels="kidney=1,tumor=2+3")
    config = tmp_path / "app.yaml"
    config.write_text(f"method: tiny\ntumor: nnunet:{MODEL}\nlabels: kidney=1,tumor=2+3\n")
    assert Settings.resolve(bundles=bundles, device="cpu", config=config) == expected
    monkeypatch.setenv("RENALSEG_TUMOR", f"nnunet:{MODEL}")
    monkeypatch.setenv("RENALSEG_LABELS", "kidney=1,tumor=2+3")
    monkeypatch.setenv("RENALSEG_METHOD", "tiny")
    assert resolve(bundles, method=None) == expected
    assert expected.choice.overrides == {"tumor.labels": {"kidney": [1], "tumor": [2, 3]}}


def test_labels_tell_results_apart(bundles: Path) -> None:
    one = resolve(bundles, tumor=f"nnunet:{MODEL}")
    two = resolve(bundles, tumor=f"nnunet:{MODEL}", labels="kidney=1,tumor=3")
    assert one.choice.fingerprint != two.choice.fingerprint


def test_labels_need_a_model_to_belong_to(bundles: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one model from elsewhere with labels.*found 0"):
        resolve(bundles, labels="kidney=1")
    write_model(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"found 2; .*--set tumor\.labels"):
        resolve(
            bundles, localizer="nnunet:other", tumor=f"nnunet:{MODEL}", labels="kidney=1,tumor=2"
        )
    both = resolve(bundles, method="nnunet:other", labels="kidney=1,tumor=2").choice
    assert set(both.overrides) == {"localizer.labels", "tumor.labels"}


def test_a_method_names_a_model_and_what_is_set_in_it(bundles: Path) -> None:
    shutil.move(bundles.parent / MODEL, bundles / "kits")
    (bundles / "methods" / "mine.yaml").write_text(
        "localizer: kidney_tiny\n"
        "tumor: {model: 'nnunet:kits', labels: {kidney: 1, tumor: masses}, axes: IPL}\n"
    )
    choice = resolve(bundles, method="mine").choice
    assert choice.algorithm == "mine"
    assert choice.tumor == f"nnunet:{bundles / 'kits'}"
    assert choice.overrides == {
        "tumor.labels": {"kidney": 1, "tumor": "masses"},
        "tumor.axes": "IPL",
    }
    other = resolve(bundles, method="tiny", tumor="mine", overrides={"tumor.axes": "RAS"}).choice
    assert other.overrides["tumor.axes"] == "RAS"
    listed = {one["method"]: one["stages"] for one in list_methods(bundles)}
    assert listed["mine"]["tumor"]["bundle"] == "nnunet_kits"


def test_what_a_method_sets_must_be_known(bundles: Path) -> None:
    (bundles / "methods" / "mine.yaml").write_text(
        "localizer: {model: kidney_tiny, margin: 3}\ntumor: tumor_tiny\n"
    )
    with pytest.raises(ConfigError, match=r"Unknown name 'localizer\.margin'"):
        resolve(bundles, method="mine")


def test_a_refiner_of_ours_does_not_judge_a_model_from_elsewhere(bundles: Path) -> None:
    chosen = resolve(bundles, method="tiny+tiny+tiny", tumor=f"nnunet:{MODEL}").choice
    assert chosen.refiner is None
    (bundles / "methods" / "asked.yaml").write_text(
        f"localizer: kidney_tiny\nrefiner: tumor_tiny\ntumor: nnunet:{bundles.parent / MODEL}\n"
    )
    assert resolve(bundles, method="asked").choice.refiner == "tumor_tiny"


def test_a_path_that_is_no_folder_is_refused(bundles: Path) -> None:
    with pytest.raises(ConfigError, match="a folder with a model after nnunet:, got 'missing'"):
        resolve(bundles, tumor="nnunet:missing")


def test_only_known_kinds_stand_before_a_path(tmp_path: Path) -> None:
    assert is_foreign("nnunet:a/b")
    assert not is_foreign("nnunet")
    assert not is_foreign("C:/bundles")
    assert locate("kidney_x", tmp_path) == "kidney_x"
    reference = parse_reference("kidney_x", tmp_path)
    assert (reference.kind, reference.folder) == ("", tmp_path / "kidney_x")


def test_what_is_not_measured_is_said(bundles: Path) -> None:
    choice = resolve(bundles, method=f"nnunet:{MODEL}").choice
    (said,) = weak_bundles(choice)
    assert said.startswith("nnunet_Dataset220_KiTS2023 is not of RenalSeg")


def test_the_stages_are_loaded_by_their_kinds(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def load(folder: Path, device: object, progress: bool, values: dict[str, object]) -> Painted:
        made.append((folder, values))
        return Painted(1, 2, 3)

    monkeypatch.setattr(kinds, "loader_of", lambda kind: load)
    with Models(resolve(bundles, tumor=f"nnunet:{MODEL}", overrides={"folds": [0]}).choice) as one:
        assert isinstance(one.localizer, models.Bundle)
        assert isinstance(one.tumor, ForeignStage)
        assert one.bundles == (one.localizer,)
    ((folder, values),) = made
    assert folder == bundles.parent / MODEL
    assert values["folds"] == [0]
    with Models(resolve(bundles, method=f"nnunet:{MODEL}").choice) as both:
        assert both.localizer.model is both.tumor.model  # type: ignore[attr-defined]
    assert len(made) == 2


def test_unknown_names_list_what_can_be_set(bundles: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tumor\.mirroring.*tumor\.folds|tumor\.folds.*mirroring"
    ):
        resolve(bundles, tumor=f"nnunet:{MODEL}", overrides={"tumor.fold": 1})


def test_the_settings_are_json(bundles: Path) -> None:
    choice = resolve(bundles, tumor=f"nnunet:{MODEL}", labels="tumor=2").choice
    assert json.loads(json.dumps(dict(choice.overrides))) == choice.overrides


def test_settings_do_not_import_monai() -> None:
    code = "import sys, renalseg.settings; print([name for name in sys.modules if 'monai' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
