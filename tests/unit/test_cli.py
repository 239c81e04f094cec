from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from renalseg import __version__
from renalseg.cases import save_nifti
from renalseg.commands.main import main, report_error
from renalseg.errors import ConfigError, InputError
from tests.factories.scenes import make_grid, volume

COMMANDS = (
    *("run", "archive", "sample", "summary", "evaluate"),
    *("library", "implant", "data", "train", "worker", "jobs", "export", "manifest"),
)
GRID = make_grid("LPS")


def label(path: Path, kidney: int, tumor: int) -> str:
    values = np.zeros(GRID.shape, np.uint8)
    values[0, 0, :kidney] = 1
    values[0, 0, kidney : kidney + tumor] = 2
    save_nifti(volume(values, GRID), path)
    return str(path)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: renalseg" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"\n    {name} " in shown for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_needs_no_library_of_networks(repository: Path) -> None:
    program = "import sys, renalseg.commands.main; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["run", "in"], "seg_out"),
        (["sample", "out", "--slices", "many"], "invalid int value: 'many'"),
    ],
)
def test_a_wrong_call_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "{here}/absent", "{here}/out"], "{here}/absent"),
        (["run", "{here}", "{here}/out"], "{here}"),
        (["run", "{here}", "{here}/out", "--method", "magic"], "'magic'"),
        (["run", "{here}", "{here}/out", "--device", "abacus"], "'abacus'"),
        (["run", "{here}", "{here}/out", "-m", "{here}/none"], "{here}/none"),
        (["sample", "{here}/out", "--slices", "1"], "2 to 2000 slices, got 1"),
        (["summary", "{here}"], "result.json of a run in {here}"),
        (["evaluate", "{here}/a.nii.gz", "{here}/b.nii.gz"], "{here}/a.nii.gz"),
        (["export", "{here}", "{here}/bundle"], "{here}/bundle"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_is_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([part.format(here=tmp_path) for part in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "renalseg: error: " in shown.err
    assert message.format(here=tmp_path) in shown.err
    assert "Traceback" not in shown.err


def test_a_run_says_that_it_starts_before_it_imports_the_libraries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise ConfigError("stopped")

    monkeypatch.setattr("renalseg.commands.main.import_monai_quickly", stop)
    assert main(["run", str(tmp_path), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "Starting\nrenalseg: error: stopped\n"


def test_a_refused_study_leaves_no_output(tmp_path: Path) -> None:
    main(["run", str(tmp_path / "absent"), str(tmp_path / "out")])
    assert list(tmp_path.iterdir()) == []


def test_verbose_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(tmp_path), "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_evaluate_prints_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pred, truth = label(tmp_path / "a.nii.gz", 10, 6), label(tmp_path / "b.nii.gz", 12, 4)
    assert main(["evaluate", pred, truth]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "KiTS19 kidney │ 1.000" in shown
    assert "KiTS19 tumor │ 0.800" in shown


def test_evaluate_saves_tables_and_a_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        label(tmp_path / "preds" / f"{name}.nii.gz", 10, 6)
        label(tmp_path / "labels" / name / "segmentation.nii.gz", 12, 4)
    folders = [str(tmp_path / name) for name in ("preds", "labels")]
    assert main(["evaluate", *folders, "--out", str(tmp_path / "out")]) == 0
    stored = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (stored["cases"], stored["kits19"]["tumor"]["value"]) == (2, 0.8)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"cases.csv", "summary.json", "summary.png", "worst"}
    assert {path.name for path in (tmp_path / "out" / "worst").iterdir()} == {"a.png", "b.png"}


def test_evaluate_refuses_another_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pred = label(tmp_path / "a.nii.gz", 10, 6)
    affine = GRID.affine.copy()
    affine[0, 3] += 10
    other = GRID._replace(affine=affine)
    save_nifti(volume(np.ones(other.shape, np.uint8), other), tmp_path / "b.nii.gz")
    assert main(["evaluate", pred, str(tmp_path / "b.nii.gz")]) == 2
    assert "prediction and label of b on one grid" in capsys.readouterr().err


def test_summary_prints_volumes_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = {"number": 1, "label": "Left kidney", "kind": 1, "side": "left", "volume_ml": 151.26}
    study = {
        "study": "1.1",
        "finding": "no tumor found",
        "segments": [segment],
        "files": ["1.2.seg.dcm"],
        "pictures": [],
        "supersedes": [],
        "seconds": {"read": 1.0, "write": 2.5},
    }
    refused = {"study": "1.3", "finding": "refused", "reason": "gap of 3 mm"}
    result = {
        "studies": [study, refused],
        "localizer": "kidney_one",
        "tumor": "tumor_one",
        "device": "cpu",
    }
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert main(["summary", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for part in ("no tumor found", "Left kidney", "151.3", "3.5", str(tmp_path / "1.2.seg.dcm")):
        assert part in shown
    assert "refused: study 1.3: gap of 3 mm" in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no CT"), 2),
        (MemoryError(), 75),
        (OSError(errno.ENOSPC, "No space left on device"), 75),
        (KeyError("x"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert report_error(error) == code


def test_an_error_without_a_message_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(MemoryError())
    shown = capsys.readouterr().err
    assert shown.startswith("renalseg: error: out of memory; ")
    assert shown.endswith("(MemoryError)\n")


def test_a_fault_of_the_program_shows_where_it_happened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        report_error(error)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "renalseg: internal error: 'x'" in shown
