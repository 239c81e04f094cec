"""Methods as files: what they may hold, and that each of their numbers tells results apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
import yaml
from monai.data import MetaTensor

from renalseg.commands.main import main
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.derived import Origin, content_hash
from renalseg.errors import ConfigError
from renalseg.inference.methods import BUNDLES, default_numbers, find_method, method_names
from renalseg.labels import KIDNEY
from renalseg.output.study import write_study
from renalseg.runtime.checksums import sha256_of
from renalseg.settings import DEFAULT_METHOD, Settings, available_methods
from tests.factories.bundles import write_bundle
from tests.factories.results import as_found
from tests.factories.series import write_case
from tools.accuracy.kept import Kept

METHODS = BUNDLES / "methods"
Path_ = tuple[str | int, ...]


def leaves(content: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """All values of nested sections and lists, with the way to them."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, (*path, key))
    else:
        yield path, content


def numbers_of(name: str) -> list[Path_]:
    content = yaml.safe_load((METHODS / f"{name}.yaml").read_text(encoding="utf-8"))
    return [path for path, value in leaves(content) if type(value) in (int, float)]


FILES = [path.stem for path in sorted(METHODS.glob("*.yaml"))]
EVERY_NUMBER = [(name, path) for name in FILES for path in numbers_of(name)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped methods with small bundles under the names of the real ones."""
    folder = tmp_path_factory.mktemp("bundles")
    for path in BUNDLES.glob("*_*/models"):
        write_bundle(folder / path.parent.name)
    return folder


@pytest.fixture
def methods(bundles: Path) -> Iterator[Path]:
    shutil.copytree(METHODS, bundles / "methods")
    yield bundles / "methods"
    shutil.rmtree(bundles / "methods")


def changed(value: float) -> float:
    return value + 1 if isinstance(value, int) else 0.9 * value + 0.01


def uids(settings: Settings, series: CTSeries, folder: Path) -> set[str]:
    """Of the objects that the settings make of one and the same finding."""
    pred = MetaTensor(
        torch.zeros(series.image.shape, dtype=torch.uint8), affine=series.image.affine
    )
    pred[0, 5:9, 5:9, 5:9] = KIDNEY
    study = write_study(series, as_found(series, pred, settings), folder, settings, {})
    objects = [pydicom.dcmread(folder / name) for name in study.files]
    return {uid for ds in objects for uid in (ds.SOPInstanceUID, ds.SeriesInstanceUID)}


def test_the_numbers_are_known() -> None:
    assert ("sehdc_sehdc_msvnet", ("confirmation", "min_share")) in EVERY_NUMBER
    assert ("defaults", ("sides", "body_hu")) in EVERY_NUMBER


@pytest.fixture(scope="module")
def shipped() -> dict[str, set[str]]:
    """By method, the UIDs of its objects as it is shipped."""
    return {}


@pytest.mark.parametrize(("name", "path"), EVERY_NUMBER, ids=str)
def test_every_number_tells_results_apart(
    methods: Path,
    tmp_path: Path,
    series: CTSeries,
    shipped: dict[str, set[str]],
    name: str,
    path: Path_,
) -> None:
    method = "resvnet+mrb" if name == "defaults" else name

    def resolve() -> Settings:
        return Settings.resolve(bundles=methods.parent, method=method, device="cpu", outputs="seg")

    before = resolve()
    file = methods / f"{name}.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = changed(place[path[-1]])
    file.write_text(yaml.safe_dump(content))
    after = resolve()
    assert after.choice.stages == before.choice.stages
    assert after.choice.numbers != before.choice.numbers
    assert after.choice.fingerprint != before.choice.fingerprint
    assert Kept(tmp_path, after).fingerprint != Kept(tmp_path, before).fingerprint
    if name not in shipped:
        shipped[name] = uids(before, series, tmp_path)
    assert resolve() == after
    assert not shipped[name] & uids(after, series, tmp_path)


def test_the_same_numbers_give_the_same_objects(series: CTSeries, tmp_path: Path) -> None:
    settings = Settings.resolve(method="resvnet+mrb", device="cpu", outputs="seg")
    assert uids(settings, series, tmp_path) == uids(settings, series, tmp_path)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CTSeries:
    return read_series(write_case(tmp_path_factory.mktemp("series")).folder)


def test_the_default_has_a_file() -> None:
    settings = Settings.resolve(device="cpu")
    assert settings.choice.algorithm == settings.choice.name == DEFAULT_METHOD
    assert settings.choice.software[0].startswith(f"{DEFAULT_METHOD} ")
    assert Settings.resolve(method=DEFAULT_METHOD, device="cpu") == settings


@pytest.mark.parametrize("name", method_names(BUNDLES))
def test_every_file_is_a_method_whose_bundles_are_there(name: str) -> None:
    method = find_method(BUNDLES, name)
    assert method is not None
    settings = Settings.resolve(method=name, device="cpu")
    assert (settings.choice.algorithm, settings.choice.numbers) == (method.name, method.numbers)
    assert (
        settings.choice.localizer,
        settings.choice.refiner,
        settings.choice.tumor,
    ) == method.stages
    assert Settings.resolve(method=settings.choice.algorithm, device="cpu") == settings


def test_every_pair_of_bundles_has_a_file() -> None:
    assert set(available_methods(BUNDLES)) <= set(method_names(BUNDLES))


def test_a_file_may_have_any_name(methods: Path) -> None:
    (methods / "quick.yaml").write_text("localizer: kidney_mrb\ntumor: tumor_resvnet\n")
    settings = Settings.resolve(bundles=methods.parent, method="quick", device="cpu")
    assert settings.choice.stages == ("kidney_mrb", "tumor_resvnet")
    assert settings.choice.algorithm == "quick"
    other = Settings.resolve(bundles=methods.parent, method="quick", tumor="mrb", device="cpu")
    assert (other.choice.algorithm, other.choice.name) == ("mrb", "mrb")


def test_stages_chosen_one_by_one_are_the_method_that_has_them(methods: Path) -> None:
    """The numbers of a method do not depend on how it was asked for."""
    file = methods / "mrb.yaml"
    file.write_text(file.read_text() + "sides: {body_hu: -200}\n")
    named = Settings.resolve(bundles=methods.parent, method="mrb", device="cpu")
    assert named.choice.numbers.sides.body_hu == -200
    assert named.choice.numbers.sides.body_step == default_numbers(methods.parent).sides.body_step
    choices = {"bundles": methods.parent, "device": "cpu", "tumor": "mrb"}
    assert Settings.resolve(method="resvnet", localizer="mrb", **choices) == named
    mixed = Settings.resolve(method="resvnet", **choices)
    assert mixed.choice.numbers == default_numbers(methods.parent)


def test_bundles_without_methods_have_the_shared_numbers(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles, method="resvnet+mrb", device="cpu")
    assert settings.choice.numbers == default_numbers()


def test_bundles_without_methods_have_those_that_ship(bundles: Path, tmp_path: Path) -> None:
    settings = Settings.resolve(bundles=bundles, device="cpu")
    assert settings.choice.algorithm == DEFAULT_METHOD
    assert settings.choice.numbers == Settings.resolve(device="cpu").choice.numbers
    for name in ("kidney_unet", "tumor_unet"):  # a pair of the same name, without kidney_sehdc
        write_bundle(tmp_path / name)
    other = Settings.resolve(bundles=tmp_path, method="unet", device="cpu").choice
    assert (other.localizer, other.numbers) == ("kidney_unet", default_numbers())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localizer: kidney_mrb\n", "a tumor bundle"),
        ("localizer: kidney_mrb\ntumor: [1]\n", "names of bundles"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nmin_share: 0.1\n", "min_share"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {hu: 1}\n", r"body_hu.*sides.*'hu'"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {body_hu: soft}\n", "body_hu.*'soft'"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {body_hu: .nan}\n", "body_hu.*nan"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {body_step: true}\n", "body_step.*True"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: 3\n", "sides.*found 3"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {body_step: 0}\n", "body_step .*got 0"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nsides: {whole_share: 2}\n", "got 2"),
        ("localizer: kidney_mrb\ntumor: tumor_mrb\nconfirmation: {min_share: 5}\n", "got 5"),
        ("- a\n", "names with values"),
        ("a: [\n", "a YAML file"),
    ],
)
def test_a_broken_file_is_refused_by_name(methods: Path, text: str, message: str) -> None:
    (methods / "broken.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        Settings.resolve(bundles=methods.parent, method="broken", device="cpu")
    assert "broken.yaml" in str(raised.value)


@pytest.mark.parametrize("name", ["../methods/mrb", "/etc/passwd", "defaults", "..", "a/b"])
def test_a_name_never_leads_out_of_the_folder(methods: Path, name: str) -> None:
    assert find_method(methods.parent, name) is None


def test_overrides_tell_results_apart() -> None:
    settings = Settings.resolve(device="cpu")
    assert settings.choice.overridden({}) == settings.choice
    marks = {
        settings.choice.overridden({"overlap": overlap}).fingerprint for overlap in (0.25, 0.5)
    }
    assert len({settings.choice.fingerprint, *marks}) == 3


def test_other_voxels_have_other_uids(series: CTSeries) -> None:
    """Also where nothing that is known of the method says why they differ."""
    settings = Settings.resolve(device="cpu")
    segmented = np.zeros(series.image.shape[1:], np.uint8)
    one = content_hash(segmented)
    segmented[3, 4, 5] = 1
    other = content_hash(segmented)
    made = {
        Origin(series, "a", "1", settings.choice.software, text).uid("SEG") for text in (one, other)
    }
    assert len(made) == 2
    assert content_hash(segmented.copy(order="F")) == other


def test_the_command_lists_every_method_with_its_bundles(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in listed if one["default"]] == [DEFAULT_METHOD]
    assert listed[0]["default"]
    assert len(listed) == len(method_names(BUNDLES))
    for one in listed:
        settings = Settings.resolve(method=one["method"], device="cpu")
        assert one["fingerprint"] == settings.choice.fingerprint
        stages = {stage: about["bundle"] for stage, about in one["stages"].items()}
        assert stages == settings.choice.named_stages
        for about in one["stages"].values():
            weights = BUNDLES / about["bundle"] / "models" / "model.pt"
            assert about["sha256"] == sha256_of(weights)
            assert about["bytes"] == weights.stat().st_size
            assert "CC BY-NC-SA 4.0" in about["licenses"]
            assert about["measured"]


def test_a_sixth_method_is_two_copied_bundles_and_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/how-to/add-a-method.md says: without code."""
    mine = tmp_path / "mine"
    for stage in ("kidney", "tumor"):
        shutil.copytree(BUNDLES / f"{stage}_sehdc", mine / f"{stage}_mine")
    (mine / "methods").mkdir()
    text = "localizer: kidney_mine\ntumor: tumor_mine\nplausibility: {tumor: {single_ml: 500}}\n"
    (mine / "methods" / "mine.yaml").write_text(text)
    assert main(["methods", "-m", str(mine), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["method"] == "mine"
    assert listed["numbers"]["plausibility"]["tumor"]["single_ml"] == 500
    case, out = write_case(tmp_path / "case").folder, tmp_path / "out"
    assert main(["run", str(case), str(out), "--method", "mine", "-m", str(mine)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["localizer"], result["tumor"]) == ("kidney_mine", "tumor_mine")
    assert result["fingerprint"] == listed["fingerprint"]


def test_the_table_names_method_bundles_and_figures(
    bundles: Path, methods: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["methods", "-m", str(bundles)]) == 0
    said = capsys.readouterr().out
    for text in ("unet (default)", "refiner", "tumor_mrb 1.0.0", "unknown"):
        assert text in said
