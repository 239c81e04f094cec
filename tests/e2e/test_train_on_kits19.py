"""The guide from the download of KiTS19 to a bundle that runs, with its own commands, in small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fire
import monai.bundle
import pytest
import torch

from renalseg.commands.main import main
from renalseg.output.folder import RESULT_FILE
from tests.factories.commands import indented_commands_of
from tests.factories.kits import write_case
from tests.factories.series import write_case as write_study
from tests.factories.server import Site, serve

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "train-on-kits19.md"
NUMBERS = (2, 3, 12, 190)  # of which 12 is in fold 0
# What makes each training small.
SMALL = ("epochs=1", "epoch_length=2", "roi_size=[32,32,16]", "width=8", "workers=0", "val_cases=4")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Stands in for the download."""
    files = {}
    for number in NUMBERS:
        case = write_case(tmp_path / "served", number)
        files[f"/images/{case.name}.nii.gz"] = (case / "imaging.nii.gz").read_bytes()
        name = "segmentation.nii.gz"
        files[f"/labels/{case.name}/{name}"] = (case / name).read_bytes()
    with serve(Site(files)) as running:
        yield running


@pytest.mark.slow
def test_the_commands_of_the_guide_lead_from_the_download_to_a_result(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    write_study(tmp_path / "study", slices=30)
    monkeypatch.chdir(tmp_path)
    done = set()
    for words in indented_commands_of(GUIDE, "renalseg", "python"):
        if words[:3] == ["python", "-m", "app"] or "c4kc" in words:
            continue  # the same run in Holoscan, and another source: each has tests of its own
        if words[0] == "python":
            assert words[1:3] == ["-m", "monai.bundle"]
            fire.Fire(monai.bundle, [*words[3:], "--device", "$torch.device('cpu')"])
            done.add("bundle")
            continue
        extra: list[str] = []
        if words[1] == "train":
            extra = [part for knob in SMALL for part in ("--set", knob)]
        if words[1:3] == ["data", "kits19"]:
            urls = ["--url", f"{site.url}/images", "--label-url", f"{site.url}/labels"]
            extra = [*urls, "--cases", ",".join(map(str, NUMBERS))]
        if words[1] == "run":
            extra = ["--device", "cpu"]
        assert main([*words[1:], *extra]) == 0, words
        done.add(" ".join(words[1:3]) if words[1] == "data" else words[1])
    assert done == {
        *("data kits19", "data check", "data prepare", "data held-out"),
        *("train", "export", "bundle", "evaluate", "run"),
    }
    assert (tmp_path / "val" / "scores").is_dir()
    assert (tmp_path / "out" / RESULT_FILE).is_file()
    for stage in ("kidney", "tumor"):
        bundle = tmp_path / "build" / "kits19" / "bundles" / f"{stage}_sehdc_trained"
        weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
        assert all(weight.isfinite().all() for weight in weights.values())
