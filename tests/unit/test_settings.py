from __future__ import annotations

from pathlib import Path

import pytest
import torch

from renalseg.errors import ConfigError
from renalseg.inference.choice import others_of
from renalseg.settings import Settings, available_methods


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """Both bundles of three methods, and one bundle each of two."""
    folder = tmp_path / "bundles"
    names = [
        f"{stage}_{method}" for stage in ("kidney", "tumor") for method in ("sehdc", "one", "two")
    ]
    for name in (*names, "kidney_alone", "tumor_unet"):
        (folder / name / "configs").mkdir(parents=True)
        (folder / name / "configs" / "inference.yaml").touch()
        (folder / name / "configs" / "metadata.json").write_text('{"version": "1.2.3"}')
        (folder / name / "models").mkdir()
        (folder / name / "models" / "model.pt").touch()
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "app.yaml"
    path.write_text("method: two\n")
    return path


def test_defaults(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles)
    assert settings.choice.stages == ("kidney_sehdc", "tumor_unet")
    assert settings.choice.folders == tuple(bundles / name for name in settings.choice.stages)
    assert settings.overlay is None
    assert [text.rsplit(" ", 1)[0] for text in settings.choice.networks] == [
        "kidney_sehdc 1.2.3",
        "tumor_unet 1.2.3",
    ]


def test_the_application_has_the_same_default(repository: Path) -> None:
    assert Settings.resolve(config=repository / "app" / "app.yaml") == Settings.resolve()


def test_a_method_can_be_a_pair(bundles: Path, config: Path) -> None:
    settings = Settings.resolve(bundles=bundles, method="one+two")
    assert (settings.choice.localizer, settings.choice.tumor) == ("kidney_one", "tumor_two")
    assert Settings.resolve(bundles=bundles, method=settings.choice.algorithm) == settings
    config.write_text("method: two+one\n")
    settings = Settings.resolve(bundles=bundles, config=config, tumor="two")
    assert (settings.choice.localizer, settings.choice.tumor) == ("kidney_two", "tumor_two")


@pytest.mark.parametrize(
    "method", ["one", "one+two", "one+two+two", "one+two+one", "one+one+two", "one+one+one"]
)
def test_a_method_is_found_by_the_name_in_its_results(bundles: Path, method: str) -> None:
    settings = Settings.resolve(bundles=bundles, method=method)
    assert settings.choice.algorithm == method
    assert Settings.resolve(bundles=bundles, method=settings.choice.algorithm) == settings


def test_the_second_of_three_methods_is_the_refiner(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles, method="alone+one+two")
    assert settings.choice.named_stages == {
        "localizer": "kidney_alone",
        "refiner": "tumor_one",
        "tumor": "tumor_two",
    }


@pytest.mark.parametrize(
    ("stages", "refiner"),
    [
        ({"localizer": "two"}, "tumor_one"),
        ({"tumor": "unet"}, "tumor_one"),
        ({"localizer": "two", "tumor": "two"}, None),
    ],
)
def test_a_refiner_stays_while_a_stage_of_its_method_does(
    bundles: Path, stages: dict[str, str], refiner: str | None
) -> None:
    settings = Settings.resolve(bundles=bundles, method="one+one+one", **stages)
    assert settings.choice.refiner == refiner


def test_four_methods_are_too_many(bundles: Path) -> None:
    with pytest.raises(ConfigError, match="up to three methods"):
        Settings.resolve(bundles=bundles, method="one+two+one+two")


def test_an_ensemble_looks_into_the_kidneys_of_its_first_method(bundles: Path) -> None:
    choice = Settings.resolve(bundles=bundles, method="alone+one|two|one+sehdc+unet").choice
    assert choice.named_stages == {
        "localizer": "kidney_alone",
        "tumor": "tumor_one",
        "tumor_2": "tumor_two",
        "refiner_3": "tumor_sehdc",
        "tumor_3": "tumor_unet",
    }
    assert choice.algorithm == "alone+one|alone+two|alone+sehdc+unet"
    assert Settings.resolve(bundles=bundles, method=choice.algorithm).choice == choice
    assert others_of(choice.named_stages) == choice.others
    names = [line.split()[0] for line in choice.networks]
    assert names == list(choice.named_stages.values())


def test_an_ensemble_has_its_own_fingerprint(bundles: Path) -> None:
    """Also where another one has the same bundles in other roles."""
    methods = ("one+sehdc+two", "one+two|sehdc", "one|sehdc|two", "one+one+sehdc|two")
    choices = [Settings.resolve(bundles=bundles, method=method).choice for method in methods]
    assert len({choice.fingerprint for choice in choices}) == len(methods)


def test_tumor_stages_alone_can_be_an_ensemble(bundles: Path) -> None:
    choice = Settings.resolve(bundles=bundles, method="one", tumor="one|two").choice
    assert choice.algorithm == "one|one+two"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("one|three", "Unknown method or tumor bundle 'three'"),
        ("three|one", "Unknown method or kidney bundle 'three'"),
        ("one|", "Unknown method or tumor bundle ''"),
        ("one|two+one", "different methods.*'two.one'"),
        ("one|one+two+one+two", "up to three methods"),
    ],
)
def test_an_ensemble_has_methods_that_are_there(bundles: Path, method: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings.resolve(bundles=bundles, method=method)


def test_the_bundles_of_the_repository_are_the_default(repository: Path) -> None:
    assert Settings.resolve().choice.bundles == repository / "bundles"


def test_a_file_comes_before_the_default(bundles: Path, config: Path) -> None:
    assert Settings.resolve(bundles=bundles, config=config).choice.localizer == "kidney_two"


def test_the_environment_comes_before_a_file(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_METHOD", "one")
    assert Settings.resolve(bundles=bundles, config=config).choice.localizer == "kidney_one"


def test_an_option_comes_before_the_environment(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_METHOD", "one")
    settings = Settings.resolve(bundles=bundles, config=config, method="sehdc")
    assert settings.choice.localizer == "kidney_sehdc"


def test_an_empty_variable_is_no_choice(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENALSEG_METHOD", "")
    assert Settings.resolve(bundles=bundles).choice.localizer == "kidney_sehdc"


def test_an_empty_file_is_no_choice(bundles: Path, config: Path) -> None:
    config.write_text("# nothing\n")
    assert Settings.resolve(bundles=bundles, config=config).choice.localizer == "kidney_sehdc"


def test_a_stage_can_have_another_method(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles, method="one", tumor="two")
    assert (settings.choice.localizer, settings.choice.tumor) == ("kidney_one", "tumor_two")


def test_a_stage_of_the_environment_comes_before_the_method_of_the_file(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_LOCALIZER", "one")
    settings = Settings.resolve(bundles=bundles, config=config)
    assert (settings.choice.localizer, settings.choice.tumor) == ("kidney_one", "tumor_two")


def test_a_bundle_can_be_named_in_full(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles, localizer="kidney_one", tumor="tumor_two")
    assert (settings.choice.localizer, settings.choice.tumor) == ("kidney_one", "tumor_two")


@pytest.mark.parametrize(("tumor", "name"), [("one", "one"), ("two", "one+two")])
def test_algorithm_names_the_methods(bundles: Path, tumor: str, name: str) -> None:
    assert Settings.resolve(bundles=bundles, method="one", tumor=tumor).choice.algorithm == name


@pytest.mark.parametrize("variable", ["RENALSEG_BUNDLES", "HOLOSCAN_MODEL_PATH"])
def test_the_environment_says_where_bundles_are(
    bundles: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(bundles))
    assert Settings.resolve().choice.bundles == bundles


def test_our_own_variable_comes_before_holoscans(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", "/nowhere")
    monkeypatch.setenv("RENALSEG_BUNDLES", str(bundles))
    assert Settings.resolve().choice.bundles == bundles


def test_overlay_is_a_folder(bundles: Path) -> None:
    assert Settings.resolve(bundles=bundles, overlay="pictures").overlay == Path("pictures")


def test_an_unknown_method_lists_the_known(bundles: Path) -> None:
    with pytest.raises(ConfigError, match=r"'three'; there are: kidney_alone, kidney_one, .*two$"):
        Settings.resolve(bundles=bundles, method="three")


def test_a_method_without_a_tumor_bundle_lists_those_with_one(bundles: Path) -> None:
    with pytest.raises(ConfigError, match=r"tumor bundle 'alone'; there are: tumor_one,"):
        Settings.resolve(bundles=bundles, method="alone")


def test_a_tumor_bundle_is_no_localizer(bundles: Path) -> None:
    with pytest.raises(ConfigError, match="tumor_one"):
        Settings.resolve(bundles=bundles, localizer="tumor_one")


def test_a_folder_without_bundles_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path / "missing")):
        Settings.resolve(bundles=tmp_path / "missing")


@pytest.mark.parametrize("text", ["method: [", "- method\n", "methods: one\n"])
def test_a_wrong_file_is_named(bundles: Path, config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=str(config)):
        Settings.resolve(bundles=bundles, config=config)


def test_a_missing_file_is_named(bundles: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        Settings.resolve(bundles=bundles, config=tmp_path / "absent.yaml")


def test_auto_takes_what_is_there(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Settings.resolve(bundles=bundles).choice.device == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Settings.resolve(bundles=bundles).choice.device == torch.device("cpu")


def test_a_file_can_choose_the_device(bundles: Path, config: Path) -> None:
    config.write_text("device: cpu\n")
    assert Settings.resolve(bundles=bundles, config=config).choice.device == torch.device("cpu")


def test_a_second_gpu_can_be_chosen(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Settings.resolve(bundles=bundles, device="cuda:1").choice.device == torch.device(
        "cuda", 1
    )


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", "mps"])
def test_an_unknown_device_lists_the_known(bundles: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"auto, cpu, cuda or cuda:<n>, got '{name}'"):
        Settings.resolve(bundles=bundles, device=name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_refused(
    bundles: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=f"'{name}'; CUDA devices: 0"):
        Settings.resolve(bundles=bundles, device=name)


def test_a_method_given_goes_before_a_bundle_in_the_file(bundles: Path, config: Path) -> None:
    config.write_text("localizer: two\n")
    assert Settings.resolve(bundles=bundles, config=config).choice.localizer == "kidney_two"
    settings = Settings.resolve(bundles=bundles, config=config, method="one")
    assert settings.choice.localizer == "kidney_one"


def test_a_bundle_without_weights_is_not_offered(bundles: Path) -> None:
    (bundles / "kidney_two" / "models" / "model.pt").unlink()
    with pytest.raises(ConfigError, match=r"there are: kidney_alone, kidney_one, kidney_sehdc$"):
        Settings.resolve(bundles=bundles, localizer="two")


def test_a_method_is_available_with_both_bundles_alone(bundles: Path) -> None:
    assert available_methods(bundles) == ["one", "sehdc", "two"]


def test_segmentation_and_reports_are_written_by_default(bundles: Path) -> None:
    settings = Settings.resolve(bundles=bundles)
    assert settings.outputs == ("seg", "sr", "pdf")
    assert settings.empty_frames is False


def test_outputs_come_from_an_option_the_environment_or_a_file(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("outputs: [sc, seg]\nempty_frames: true\n")
    settings = Settings.resolve(bundles=bundles, config=config)
    assert (settings.outputs, settings.empty_frames) == (("seg", "sc"), True)
    monkeypatch.setenv("RENALSEG_OUTPUTS", "pdf")
    monkeypatch.setenv("RENALSEG_EMPTY_FRAMES", "no")
    settings = Settings.resolve(bundles=bundles, config=config)
    assert (settings.outputs, settings.empty_frames) == (("pdf",), False)
    settings = Settings.resolve(bundles=bundles, outputs="labelmap, sr", empty_frames=True)
    assert (settings.outputs, settings.empty_frames) == (("labelmap", "sr"), True)


@pytest.mark.parametrize("outputs", ["seg,ply", ",", "SEG"])
def test_unknown_outputs_are_refused_with_the_known(bundles: Path, outputs: str) -> None:
    known = (
        "seg, labelmap, rtstruct, sr, fhir, pdf, sc, probability, "
        "nifti, nrrd, mha, masks, seg.nrrd, stl, obj, glb"
    )
    with pytest.raises(ConfigError, match=f"{known}.*{outputs}"):
        Settings.resolve(bundles=bundles, outputs=outputs)


@pytest.mark.parametrize(
    ("outputs", "suffix", "maps", "left_out"),
    [
        (None, ".nii.gz", ("nifti",), ()),
        (None, ".nii", ("nifti",), ()),
        (None, ".nrrd", ("nrrd",), ()),
        (None, ".mha", ("mha",), ()),
        (None, "", ("nifti",), ()),
        ("seg,nrrd", ".mha", ("nrrd",), ("seg",)),
        ("masks,nifti", ".mha", ("nifti", "masks"), ()),
        ("glb,rtstruct", ".mha", ("glb",), ("rtstruct",)),
    ],
)
def test_a_volume_gets_a_label_map_in_its_own_format_by_default(
    bundles: Path,
    outputs: str | None,
    suffix: str,
    maps: tuple[str, ...],
    left_out: tuple[str, ...],
) -> None:
    settings = Settings.resolve(bundles=bundles, outputs=outputs)
    assert (settings.of_volume(suffix), settings.not_of_volume()) == (maps, left_out)


@pytest.mark.parametrize("outputs", ["seg,pdf", "rtstruct"])
def test_dicom_objects_alone_cannot_be_made_of_a_volume(bundles: Path, outputs: str) -> None:
    settings = Settings.resolve(bundles=bundles, outputs=outputs)
    with pytest.raises(
        ConfigError, match=f"masks, seg.nrrd, stl, obj, glb for a volume, got '{outputs}'"
    ):
        settings.of_volume(".nii.gz")


def test_a_structured_report_needs_a_segmentation(bundles: Path) -> None:
    with pytest.raises(ConfigError, match="seg or labelmap with sr"):
        Settings.resolve(bundles=bundles, outputs="sr,pdf")


def test_a_switch_is_true_or_false(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENALSEG_EMPTY_FRAMES", "perhaps")
    with pytest.raises(ConfigError, match="empty_frames, got 'perhaps'"):
        Settings.resolve(bundles=bundles)


def test_what_the_file_says_of_the_package_is_left_to_it(bundles: Path, tmp_path: Path) -> None:
    config = tmp_path / "app.yaml"
    config.write_text("method: two\napplication: {title: T}\nresources: {gpu: 1}\n")
    assert Settings.resolve(bundles=bundles, config=config).choice.algorithm == "two"


@pytest.mark.parametrize("name", ["allow_gaps", "empty_frames"])
@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("1", True), (" Yes ", True), ("ON", True), ("False", False), ("0", False)],
)
def test_every_switch_of_the_environment_is_read_alike(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, meant: bool
) -> None:
    config.write_text(f"{name}: {str(not meant).lower()}\n")
    assert getattr(Settings.resolve(bundles=bundles, config=config), name) is not meant
    monkeypatch.setenv(f"RENALSEG_{name.upper()}", text)
    assert getattr(Settings.resolve(bundles=bundles, config=config), name) is meant
    given = Settings.resolve(bundles=bundles, config=config, **{name: not meant})
    assert getattr(given, name) is not meant


def test_gaps_are_refused_unless_somebody_allows_them(bundles: Path) -> None:
    assert Settings.resolve(bundles=bundles).allow_gaps is False


def test_a_series_is_asked_for_by_argument_environment_or_file(
    bundles: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.resolve(bundles=bundles).series is None
    config.write_text("series: 3\n")
    assert Settings.resolve(bundles=bundles, config=config).series == "3"
    monkeypatch.setenv("RENALSEG_SERIES", "portal venous")
    assert Settings.resolve(bundles=bundles, config=config).series == "portal venous"
    assert Settings.resolve(bundles=bundles, config=config, series="1.2").series == "1.2"
