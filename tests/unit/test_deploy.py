from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def make_application(folder: Path, body: str) -> Path:
    folder.mkdir()
    (folder / "__main__.py").write_text(body, encoding="utf-8")
    return folder


def monai_deploy(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "renalseg.commands.monai_deploy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_exec_passes_the_exit_code_on(tmp_path: Path) -> None:
    application = make_application(tmp_path / "app", "raise SystemExit(75)")
    assert monai_deploy("exec", application).returncode == 75


def test_exec_passes_the_arguments_on_as_they_are(tmp_path: Path) -> None:
    application = make_application(tmp_path / "app", "import sys; print(sys.argv[1:])")
    done = monai_deploy("exec", application, "-i", "in put", "--unknown=1", "--", "-h")
    assert done.stdout.strip() == "['-i', 'in put', '--unknown=1', '--', '-h']"


def test_exec_leaves_help_to_the_application(tmp_path: Path) -> None:
    application = make_application(tmp_path / "app", "import sys; print('asked', sys.argv[1:])")
    assert monai_deploy("exec", application, "--help").stdout.strip() == "asked ['--help']"


def test_exec_uses_the_same_interpreter(tmp_path: Path) -> None:
    application = make_application(tmp_path / "app", "import sys; print(sys.executable)")
    assert monai_deploy("exec", application).stdout.strip() == sys.executable


def test_exec_takes_no_module_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets.py").write_text("raise SystemExit(9)")
    body = "import secrets, sys; print(sys.flags.safe_path, sys.path[0])"
    application = make_application(tmp_path / "app", body)
    monkeypatch.chdir(tmp_path)
    assert monai_deploy("exec", "app").stdout.split() == ["True", str(application)]


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    done = monai_deploy("exec", tmp_path / "nowhere", "-i", "in")
    assert done.returncode == 2
    assert f"no such application folder: {tmp_path / 'nowhere'}" in done.stderr


def test_file_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.touch()
    done = monai_deploy("exec", program)
    assert done.returncode == 2
    assert "found a file" in done.stderr


def test_folder_without_a_program_is_refused(tmp_path: Path) -> None:
    done = monai_deploy("exec", tmp_path)
    assert done.returncode == 2
    assert f"expected {tmp_path / '__main__.py'}" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("exec",), ("package", "app")])
def test_wrong_calls_show_the_usage(arguments: tuple[str, ...]) -> None:
    done = monai_deploy(*arguments)
    assert done.returncode == 2
    assert "usage: monai-deploy" in done.stderr


def test_help_names_the_command_and_an_example() -> None:
    done = monai_deploy("--help")
    assert done.returncode == 0
    assert "monai-deploy exec app -i dicom_in -o seg_out" in done.stdout
