"""Bundles train from real cases as from anatomies: one bundle for each kind of stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import run

from renalseg.synthesis.library import save_anatomy
from tests.factories.anatomies import box_anatomy
from tests.factories.kits import write_case, write_list

BUNDLES = Path(__file__).parents[2] / "bundles"

SMALL: dict[str, dict[str, Any]] = {
    "kidney_sehdc": {"roi_size": [32, 32, 16]},  # patches
    "tumor_msvnet": {"size": 32},  # stacks of slices
    "tumor_resvnet": {"box_size": [32, 32, 16]},  # pairs of kidneys
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("sources")
    for i in range(2):
        (root / "library").mkdir(exist_ok=True)
        save_anatomy(root / "library" / f"box_{i}.npz", box_anatomy())
    for number in (0, 190):
        write_case(root / "kits", number)
    datalist = write_list(root / "kits" / "cases.json", training=[0], validation=[190])
    paths = {"kits": root / "kits", "list": datalist}
    return {
        **{name: str(path) for name, path in paths.items()},
        "all": [str(path) for path in (root / "library", *paths.values())],
    }


@pytest.mark.parametrize("source", ["kits", "list", "all"])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_bundle_trains_from_real_cases(
    name: str, source: str, sources: dict[str, Any], tmp_path: Path
) -> None:
    run(
        config_file=str(BUNDLES / name / "configs" / "train.yaml"),
        bundle_root=str(BUNDLES / name),
        data=sources[source],
        output_dir=str(tmp_path),
        device="$torch.device('cpu')",
        **{"epochs": 1, "epoch_length": 2, "batch_size": 2, "workers": 0} | SMALL[name],
    )
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert checkpoint["trainer"]["iteration"] == 2
    assert all(weight.isfinite().all() for weight in checkpoint["network"].values())
