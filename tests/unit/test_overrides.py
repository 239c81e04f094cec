"""Values that are set for one run: where they go, which are refused, and that results differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from renalseg.commands.main import main
from renalseg.errors import ConfigError
from renalseg.inference.methods import BUNDLES
from renalseg.inference.models import Models
from renalseg.inference.overrides import of_stage, parse_overrides
from renalseg.settings import Settings
from tests.factories.bundles import CONFIG, write_bundles
from tests.factories.series import write_case

METHOD = "sehdc+sehdc+msvnet"  # three bundles with knobs of their own


def resolve(**overrides: Any) -> Settings:
    return resolve_all(overrides)


def resolve_all(overrides: dict[str, Any], **choices: Any) -> Settings:
    return Settings.resolve(device="cpu", overrides=overrides, **{"method": METHOD, **choices})


def test_values_are_yaml_and_the_last_one_counts() -> None:
    texts = ["a=1", "b=[1, 2.5]", "c=null", "d=x=y", "e=true", "a=0.5"]
    parsed = parse_overrides(texts)
    assert parsed == {"a": 0.5, "b": [1, 2.5], "c": None, "d": "x=y", "e": True}


@pytest.mark.parametrize("text", ["threshold", "=1", "threshold=", "threshold=[1"])
def test_a_text_that_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        parse_overrides([text])


@pytest.mark.parametrize("name", ["threshold", "tumor.threshold", "tumor_msvnet.threshold"])
def test_a_knob_is_named_alone_by_stage_or_by_bundle(name: str) -> None:
    settings = resolve_all({name: 0.3})
    assert settings.choice.overrides == {"tumor.threshold": 0.3}
    assert settings.choice.numbers == resolve().choice.numbers


def test_the_name_does_not_change_the_fingerprint_and_the_value_does() -> None:
    plain, one, other = resolve(), resolve(threshold=0.3), resolve(threshold=0.4)
    assert len({plain.choice.fingerprint, one.choice.fingerprint, other.choice.fingerprint}) == 3
    assert resolve_all({"tumor_msvnet.threshold": 0.3}).choice.fingerprint == one.choice.fingerprint
    assert resolve_all({}) == plain
    assert one.choice.algorithm == plain.choice.algorithm


def test_a_whole_number_is_a_number() -> None:
    found = resolve(fluid_hu=25).choice.overrides["tumor.fluid_hu"]
    assert (found, type(found)) == (25.0, float)


def test_a_name_of_several_bundles_needs_its_stage() -> None:
    with pytest.raises(ConfigError, match=r"expected one of localizer\.window, refiner\.window"):
        resolve(window=[0, 1])
    assert resolve_all({"refiner.window": [0.0, 1.0]}).choice.overrides == {
        "refiner.window": [0.0, 1.0]
    }


def test_a_bundle_of_two_stages_gets_a_value_in_both() -> None:
    settings = resolve_all({"tumor_sehdc.margin_mm": 9}, method="sehdc+sehdc+sehdc")
    assert settings.choice.overrides == {"refiner.margin_mm": 9.0, "tumor.margin_mm": 9.0}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("treshold", 0.3, r"'treshold'.*localizer\.overlap.*tumor\.threshold.*plausibility\.…"),
        ("localizer.threshold", 0.3, r"'localizer\.threshold'.*tumor\.threshold"),
        ("tumor_mrb.threshold", 0.3, "tumor_mrb"),
        ("bundle_root", "/etc", "bundle_root"),
        ("tumor.device", "cuda", "device"),
        ("threshold", "high", "like 0.1 for threshold, got 'high'"),
        ("threshold", True, "got True"),
        ("threshold", None, "got None"),
        ("slices", 2.5, "like 5 for slices, got 2.5"),
        ("tumor.window", [0.0], "tumor.window"),
        ("plausibility.tumor.size", 1, r"plausibility\.tumor\.large_share"),
        ("plausibility.tumor", {}, "Unknown number"),
        ("plausibility", 1, "Unknown number"),
        ("plausibility.tumor.large_share", "big", "large_share.*found 'big'"),
        ("confirmation.min_share", 2, "min_share from 0 to 1, got 2"),
        ("plausibility.possible.volume_ml", [9, 1], "from low to high"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_all({name: value})


def test_numbers_of_the_method_are_set_by_their_path() -> None:
    names = {"plausibility.tumor.large_share": 0.5, "plausibility.usual.length_mm": [40, 200]}
    settings = resolve_all(names)
    assert settings.choice.numbers.plausibility.tumor.large_share == 0.5
    assert settings.choice.numbers.plausibility.usual.length_mm == (40, 200)
    assert settings.choice.overrides == names
    assert settings.choice.fingerprint != resolve().choice.fingerprint


def test_a_nested_value_of_a_config_can_be_set() -> None:
    settings = resolve_all({"tumor.inferer::inferer::batch_size": 2})
    with Models(settings.choice) as models:
        assert models.tumor.inferer.inferer.batch_size == 2


def test_the_knobs_of_every_shipped_bundle_can_be_set() -> None:
    settings = resolve(threshold=0.3, max_tumors=3)
    with Models(settings.choice, {"engine": "torch"}) as models:
        assert of_stage(settings.choice.overrides, "tumor") == {"threshold": 0.3, "max_tumors": 3}
        restored = models.tumor.postprocessing.transforms[0].transform.transforms[-1]
        assert restored.threshold == 0.3
    assert BUNDLES.is_dir()


def shapes(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    (study,) = result["studies"]
    return result | {"volume": sum(each["volume_ml"] for each in study["segments"])}


def test_a_run_sets_values_of_a_bundle_and_says_so(tmp_path: Path) -> None:
    bundles = write_bundles(tmp_path / "bundles")
    config = CONFIG.replace("keys: pred}", 'keys: pred, threshold: "@threshold"}')
    for path in bundles.glob("*_tiny/configs/inference.yaml"):
        path.write_text(f"threshold: 0.0\n{config}")
    case = write_case(tmp_path / "case").folder
    common = ["run", str(case), "-m", str(bundles), "--method", "tiny", "--device", "cpu"]
    common += ["--outputs", "seg"]
    for name, options in (("plain", []), ("set", ["--set", "tumor.threshold=45"])):
        assert main([*common[:2], str(tmp_path / name), *common[2:], *options]) == 0
    plain, changed = shapes(tmp_path / "plain"), shapes(tmp_path / "set")
    assert plain["overrides"] == {}
    assert changed["overrides"] == {"tumor.threshold": 45.0}
    assert changed["fingerprint"] != plain["fingerprint"]
    assert changed["volume"] < plain["volume"]


def test_a_run_refuses_what_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = write_case(tmp_path / "case").folder
    assert (
        main(["run", str(case), str(tmp_path / "out"), "--method", METHOD, "--set", "treshold=1"])
        == 2
    )
    assert "tumor.threshold" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_a_config_of_names_is_refused(tmp_path: Path) -> None:
    bundles = write_bundles(tmp_path / "bundles")
    (bundles / "kidney_tiny" / "configs" / "inference.yaml").write_text("[1]")
    with pytest.raises(ConfigError, match=r"kidney_tiny.*inference\.yaml"):
        resolve_all({"threshold": 1}, bundles=bundles, method="tiny")
