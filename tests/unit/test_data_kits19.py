from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.commands.main import main
from renalseg.data import download, kits19
from renalseg.data.kits19 import Fetched, check_whole
from renalseg.errors import ConfigError, InputError, RetryableError
from tests.factories.kits import patient, save, write_case
from tests.factories.server import Site, serve

IMAGE = "/images/case_00001.nii.gz"
LABEL = "/labels/case_00001/segmentation.nii.gz"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    case = write_case(tmp_path_factory.mktemp("served"), 1)
    return {
        IMAGE: (case / "imaging.nii.gz").read_bytes(),
        LABEL: (case / "segmentation.nii.gz").read_bytes(),
    }


@pytest.fixture
def site(files: dict[str, bytes]) -> Iterator[Site]:
    with serve(Site(dict(files))) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_LONGEST_WAIT_S", 0.0)


def fetch(site: Site, root: Path, *cases: int) -> Fetched:
    return kits19.fetch(root, cases or (1,), 2, f"{site.url}/images", f"{site.url}/labels/")


def test_a_case_is_laid_out_as_kits_does(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path) == Fetched(2, 0)
    assert (tmp_path / "case_00001" / "imaging.nii.gz").read_bytes() == site.files[IMAGE]
    assert (tmp_path / "case_00001" / "segmentation.nii.gz").read_bytes() == site.files[LABEL]
    assert not list(tmp_path.rglob("*.part"))


def test_a_second_call_asks_for_nothing(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    site.asked.clear()
    assert fetch(site, tmp_path) == Fetched(0, 2)
    assert not site.asked


def test_labels_of_a_clone_are_kept(site: Site, tmp_path: Path) -> None:
    label = save(patient()[1], tmp_path / "case_00001" / "segmentation.nii.gz")
    before = label.read_bytes()
    assert fetch(site, tmp_path) == Fetched(1, 1)
    assert label.read_bytes() == before
    manifest = json.loads((tmp_path / "renalseg-manifest.json").read_text())
    assert sorted(manifest) == ["case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz"]


def test_a_file_that_changed_is_reported_and_kept(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    image = tmp_path / "case_00001" / "imaging.nii.gz"
    image.write_bytes(b"x" * image.stat().st_size)
    with pytest.raises(InputError, match=r"imaging.nii.gz as it was fetched.*delete it"):
        fetch(site, tmp_path)
    assert image.exists()


def test_a_damaged_file_never_gets_its_name(site: Site, tmp_path: Path) -> None:
    site.files[IMAGE] = site.files[IMAGE][:-40]
    with pytest.raises(InputError, match="whole NIfTI"):
        fetch(site, tmp_path)
    assert [path.name for path in (tmp_path / "case_00001").iterdir()] == ["segmentation.nii.gz"]


def test_a_file_with_another_hash_than_the_servers_is_refused(site: Site, tmp_path: Path) -> None:
    site.faults[IMAGE] = ["redirect"]
    site.hashes[IMAGE] = "0" * 64
    with pytest.raises(InputError, match="SHA-256 0000"):
        fetch(site, tmp_path)
    assert not (tmp_path / "case_00001" / "imaging.nii.gz").exists()


def test_a_case_that_is_not_served_leaves_the_others(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"case_00007.*404.*1 more"):
        fetch(site, tmp_path, 7, 1)
    assert (tmp_path / "case_00001" / "imaging.nii.gz").exists()


def test_a_page_in_place_of_a_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"<html>please log in</html>")
    with pytest.raises(InputError, match=r"whole NIfTI volume.*a\.nii\.gz"):
        check_whole(tmp_path / "a.nii.gz")


def test_a_volume_that_is_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = save(patient()[1], tmp_path / "a.nii.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    with pytest.raises(InputError, match="bytes unpacked"):
        check_whole(path)


def test_the_command_fetches_and_says_so(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--url", f"{site.url}/images", "--label-url", f"{site.url}/labels"]
    assert main(["data", "kits19", str(tmp_path), "--cases", "1", *places]) == 0
    assert "2 files fetched, 0 already present" in capsys.readouterr().out
    assert main(["data", "kits19", str(tmp_path), "--cases", "1-2", *places]) == 2
    assert "case_00002" in capsys.readouterr().err


def test_an_interrupted_command_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kits19, "fetch", interrupted)
    assert main(["data", "kits19", str(tmp_path)]) == 130
    assert "run the same command to resume" in capsys.readouterr().err


def test_the_network_ends_all_downloads(site: Site, tmp_path: Path) -> None:
    site.faults[IMAGE] = [503] * 20
    with pytest.raises(RetryableError, match="tried 6 times"):
        fetch(site, tmp_path)
