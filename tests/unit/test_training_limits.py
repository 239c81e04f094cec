from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from renalseg.data.case_lists import Fold, labeled_cases
from renalseg.errors import InputError
from renalseg.inference.bundle import Bundle
from renalseg.training.export import export_bundle
from renalseg.training.limits import Tally, choose_limits, try_localizer
from renalseg.training.record import write_record
from tests.factories import bundles
from tests.factories.kits import write_list
from tests.factories.scenes import GRIDS, volume

TUMOR_CONFIG = bundles.CONFIG.replace(
    "  - {_target_: renalseg.transforms.RestoreGridd, keys: pred}\n",
    """\
  - {_target_: Activationsd, keys: pred, sigmoid: true}
  - {_target_: renalseg.transforms.RestoreGridd, keys: pred, threshold: "@threshold"}
  - {_target_: renalseg.transforms.TumorInKidneyd, keys: pred}
  - {_target_: renalseg.transforms.DropSmallTumorsd, keys: pred, min_volume_mm3: "@min_tumor_mm3"}
""",
)
KNOBS = "threshold: 0.5\nmin_tumor_mm3: 3000.0         # smaller ones count as kidney\n"
HU_PER_LOGIT = 100.0
KIDNEY, FAINT, BRIGHT = -110, -62, 300  # HU, of which the network makes 0.25, 0.35 and 0.95


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A data list; its last case has a faint and a bright tumor, and a speck that is none."""
    label = np.zeros((30, 30, 30), np.uint8)
    label[2:28, 2:28, 2:28] = 1
    hu = np.where(label > 0, KIDNEY, -1000).astype(np.int16)
    for at, size, value, is_tumor in (
        (4, (7, 7, 8), BRIGHT, True),  # 392 mm3
        (14, (6, 6, 6), FAINT, True),  # 216 mm3
        (22, (5, 5, 5), BRIGHT, False),  # 125 mm3
    ):
        part = tuple(slice(at, at + n) for n in size)
        hu[part] = value
        label[part] += is_tumor
    for number in (0, 1):
        for name, values in (("imaging", hu), ("segmentation", label)):
            path = tmp_path / f"case_{number:05d}" / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    return write_list(tmp_path / "cases.json", training=[0], validation=[1])


def write_tumor_bundle(root: Path, config: str) -> Path:
    root = bundles.write_bundle(root, config=config)
    weights = {"weight": torch.full((1, 1, 1, 1, 1), 1 / HU_PER_LOGIT), "bias": torch.zeros(1)}
    torch.save(weights, root / "models" / "model.pt")
    return root


def choose(root: Path, cases: Path, thresholds: tuple[float | None, ...]) -> Any:
    made = {
        t: Bundle(root, torch.device("cpu"), overrides={"min_tumor_mm3": 0.0, "threshold": t})
        for t in thresholds
    }
    return choose_limits((made, labeled_cases(cases, "validation")))


def test_limits_find_all_tumors_and_leave_the_speck(cases: Path, tmp_path: Path) -> None:
    root = write_tumor_bundle(tmp_path / "tumor_tiny", KNOBS + TUMOR_CONFIG)
    outcome = choose(root, cases, (0.1, 0.3, 0.5))
    assert outcome.limits == {"threshold": 0.3, "mm3": 200.0}
    assert outcome.scores == {"kidney_dice": 1.0, "tumor_dice": 1.0, "lesion_f1": 1.0}
    assert (outcome.score, outcome.cases) == (1.0, 1)
    assert "2 of 2 tumors found, 0 false ones in 1 whole CTs" in outcome.text


def test_a_bundle_without_threshold_gets_a_size_alone(cases: Path, tmp_path: Path) -> None:
    config = TUMOR_CONFIG.replace('"@threshold"', "0.5")
    root = write_tumor_bundle(tmp_path / "tumor_tiny", "min_tumor_mm3: 3000.0\n" + config)
    outcome = choose(root, cases, (None,))
    assert outcome.limits == {"mm3": 200.0}
    assert outcome.scores["tumor_dice"] == pytest.approx(784 / 1000, abs=1e-3)


def test_a_localizer_is_measured(cases: Path, tmp_path: Path) -> None:
    bundle = Bundle(bundles.write_bundle(tmp_path / "kidney_tiny"), torch.device("cpu"))
    outcome = try_localizer((bundle, labeled_cases(cases, "validation")))
    found = 7 * 7 * 8 + 5 * 5 * 5  # the tiny network finds what is denser than water
    assert outcome.limits == {}
    assert outcome.scores["kidney_dice"] == round(2 * found / (found + 26**3), 4)


def test_without_tumors_nothing_found_is_right() -> None:
    tally = Tally()
    empty = volume(np.zeros(GRIDS["axial"].shape, np.uint8), GRIDS["axial"])
    tally.add(empty, empty)
    assert (tally.mean_dice, tally.f1) == (1.0, 1.0)


def test_an_export_writes_the_limits_and_the_scores(cases: Path, tmp_path: Path) -> None:
    root = write_tumor_bundle(tmp_path / "tumor_tiny", KNOBS + TUMOR_CONFIG)
    training = tmp_path / "train"
    training.mkdir()
    weights = torch.load(root / "models" / "model.pt", weights_only=True)
    torch.save(weights, training / "best.pt")
    (training / "history.csv").write_text("epoch,loss\n1,1.0\n")
    write_record(training, {}, "kits19")
    new = export_bundle(training, root, tmp_path / "tumor_mine", validate=cases)
    text = (new / "configs" / "inference.yaml").read_text()
    note = "# the best of those tried on 1 whole CTs"
    assert text.startswith(f"threshold: 0.3  {note}\nmin_tumor_mm3: 200.0  {note}\n")
    assert yaml.safe_load(text).keys() == yaml.safe_load(KNOBS + TUMOR_CONFIG).keys()
    metadata = json.loads((new / "configs" / "metadata.json").read_text())
    assert metadata["eval_metrics"]["lesion_f1_validation_cts"] == 1.0
    card = (new / "docs" / "README.md").read_text()
    assert "2 of 2 tumors found" in card
    assert "min_tumor_mm3 200.0, threshold 0.3, were chosen there" in card
    Bundle(new, torch.device("cpu"))

    kept = export_bundle(training, root, tmp_path / "tumor_kept")
    assert (
        "min_tumor_mm3 3000.0, threshold 0.5, are those of the shipped weights"
        in (kept / "docs" / "README.md").read_text()
    )
    with pytest.raises(InputError, match="absent, found none"):
        export_bundle(training, root, tmp_path / "tumor_x", validate=tmp_path / "absent")


def test_each_training_of_several_is_measured_on_what_it_held_out(
    cases: Path, tmp_path: Path
) -> None:
    """The network of one finds nothing, but that is asked of one of the two cases alone."""
    config = KNOBS + TUMOR_CONFIG
    definition = "{_target_: torch.nn.Conv3d, in_channels: 1, out_channels: 1, kernel_size: 1}"
    config = f"network_def: {definition}\n" + config.replace(definition, '"@network_def"')
    root = write_tumor_bundle(tmp_path / "tumor_tiny", config)
    good = torch.load(root / "models" / "model.pt", weights_only=True)
    trainings = []
    for number, state in enumerate((good, {**good, "bias": torch.full((1,), -50.0)})):
        training = tmp_path / f"fold{number}"
        training.mkdir()
        torch.save(state, training / "best.pt")
        (training / "history.csv").write_text("epoch,loss\n1,1.0\n")
        image = f"case_{number:05d}/imaging.nii.gz"
        write_record(training, {}, "kits19", Fold(frozenset({image})))
        trainings.append(training)
    new = export_bundle(trainings, root, tmp_path / "tumor_mine", validate=cases)
    card = (new / "docs" / "README.md").read_text()
    assert "2 of 4 tumors found, 0 false ones in 2 whole CTs" in card
    assert "each network on the cases that it held out" in card
    settings = yaml.safe_load((new / "configs" / "inference.yaml").read_text())
    assert settings["network_def"]["count"] == 2
    assert settings["threshold"] == 0.3
