from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError

from renalseg.commands.main import main
from renalseg.errors import ConfigError, InputError, RetryableError
from renalseg.inference.metadata import read_metadata
from renalseg.runtime.checksums import MANIFEST, check_manifest, write_manifest
from renalseg.training import publish
from renalseg.training.publish import prepare, repository_of

BUNDLES = Path(__file__).parents[2] / "bundles"
REPOSITORY = "org/kidney_sehdc"
API = huggingface_hub.HfApi


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class Hub:
    """Takes the place of `HfApi`, with its signatures: a call that it would not take fails."""

    def __init__(self, into: Path, error: Exception | None = None) -> None:
        self.into, self.error = into, error
        self.calls: dict[str, dict[str, Any]] = {}

    def __call__(self) -> Hub:
        return self

    def __getattr__(self, name: str) -> Any:
        signature = inspect.signature(getattr(API, name))

        def call(*given: Any, **named: Any) -> Any:
            self.calls[name] = arguments = signature.bind(self, *given, **named).arguments
            if self.error is not None:
                raise self.error
            if name == "upload_folder":
                shutil.copytree(arguments["folder_path"], self.into)
            return type("Commit", (), {"commit_url": f"https://hub/{REPOSITORY}/commit/1"})

        return call


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return shutil.copytree(BUNDLES / "kidney_sehdc", tmp_path / "kidney_sehdc")


@pytest.mark.parametrize("source", sorted(BUNDLES.glob("*_*/")), ids=lambda path: path.name)
def test_what_is_pushed_is_the_bundle_with_its_card(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.license, card.data.library_name) == ("cc-by-nc-sa-4.0", "monai")
    assert "monai" in card.data.tags
    assert card.text.strip().startswith(f"# {source.name}")
    assert check_manifest(tmp_path / "out")
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (tmp_path / "out" / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_links_of_the_card_lead_somewhere_from_the_root(bundle: Path, tmp_path: Path) -> None:
    (bundle / "docs" / "README.md").write_text(
        "# x\n[terms](data_license.txt#a) [config](../configs/inference.yaml) "
        "[other](../../tumor_x/docs/README.md) [web](https://example.org/a) [here](#x)\n"
    )
    prepare(bundle, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "[terms](docs/data_license.txt#a) [config](configs/inference.yaml) other " in text
    assert "[web](https://example.org/a) [here](#x)" in text


@pytest.mark.parametrize(
    "name", ["LICENSE", "docs/README.md", "docs/data_license.txt", "models/model.pt", MANIFEST]
)
def test_an_incomplete_bundle_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(ConfigError, match=f"complete bundle in .*, found no {name}"):
        prepare(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_license_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "docs" / "data_license.txt").write_text("Ask us.\n")
    with pytest.raises(ConfigError, match=r"license of the weights in .*data_license\.txt"):
        prepare(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [bundle]


def test_a_changed_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    with (bundle / "configs" / "inference.yaml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(ConfigError, match="is not the file that"):
        prepare(bundle, tmp_path / "out")
    write_manifest(bundle)
    prepare(bundle, tmp_path / "out")
    with pytest.raises(InputError, match="a new folder"):
        prepare(bundle, tmp_path / "out")


def test_a_license_other_than_that_of_the_code_is_of_the_weights(
    bundle: Path, tmp_path: Path
) -> None:
    (bundle / "docs" / "data_license.txt").write_text("Weights and code: Apache-2.0.\n")
    prepare(bundle, tmp_path / "out")
    assert ModelCard.load(tmp_path / "out" / "README.md").data.license == "apache-2.0"


def test_a_push_makes_the_repository_uploads_and_tags(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub = Hub(tmp_path / "pushed")
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert main(["publish", str(bundle), "--to", f"hf:{REPOSITORY}", "--private"]) == 0
    assert capsys.readouterr().out == f"https://hub/{REPOSITORY}/commit/1\n"
    assert list(hub.calls) == ["create_repo", "upload_folder", "create_tag"]
    assert all(call["repo_id"] == REPOSITORY for call in hub.calls.values())
    assert hub.calls["create_repo"]["private"] is True
    assert hub.calls["create_tag"]["tag"] == read_metadata(bundle)["version"]
    prepare(bundle, tmp_path / "expected")
    pushed = {path.relative_to(tmp_path / "pushed") for path in (tmp_path / "pushed").rglob("*")}
    expected = (tmp_path / "expected").rglob("*")
    assert pushed == {path.relative_to(tmp_path / "expected") for path in expected}
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, ConfigError, "hf auth login"),
        (403, ConfigError, "hf auth login"),
        (409, ConfigError, "refuses org/kidney_sehdc .*409"),
        (503, RetryableError, "try again later"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: type[Exception],
    said: str,
) -> None:
    refusal = HfHubHTTPError.__new__(HfHubHTTPError)
    refusal.response = Response(status)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub(tmp_path / "pushed", refusal))
    with pytest.raises(error, match=said):
        publish.publish(bundle, REPOSITORY)


def test_a_hub_that_is_away_may_come_back(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = API(endpoint="http://127.0.0.1:9", token="none")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    with pytest.raises(RetryableError, match="try again later"):
        publish.publish(bundle, REPOSITORY)


def test_a_dry_run_needs_no_hub(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "find_spec", lambda name: None)
    call = ["publish", str(bundle), "--to", f"hf:{REPOSITORY}"]
    assert main([*call, "--dry-run", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "README.md").is_file()
    assert main(call) == 2


@pytest.mark.parametrize("target", ["org/name", "hf:name", "hf:a/b/c", "s3:a/b"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="hf:ORG/NAME"):
        repository_of(target)
    assert repository_of("hf:a-b/c.d_e") == "a-b/c.d_e"
