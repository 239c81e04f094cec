"""The entry point of the image, run as a script on folders of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "deploy/image/tools"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the entry point is a shell script")


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """Folders as in the image, and the environment that names them."""
    for name in ("app", "models/kidney_a", "docs", "etc"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("etc/app.json", "etc/pkg.json", "app.yaml", "models/kidney_a/model.pt", "docs/L"):
        (tmp_path / name).write_text(f"{name}\n")
    set_application(tmp_path, "import sys; print(sys.argv[1:]); sys.exit(0)")
    return {
        "PATH": os.environ["PATH"],
        "HOLOSCAN_APPLICATION": f"{tmp_path}/app",
        "HOLOSCAN_MODEL_PATH": f"{tmp_path}/models",
        "HOLOSCAN_DOCS_PATH": f"{tmp_path}/docs",
        "HOLOSCAN_CONFIG_PATH": f"{tmp_path}/app.yaml",
        "HOLOSCAN_APP_MANIFEST_PATH": f"{tmp_path}/etc/app.json",
        "HOLOSCAN_PKG_MANIFEST_PATH": f"{tmp_path}/etc/pkg.json",
        "HOLOSCAN_EXPORT_PATH": f"{tmp_path}/export",
    }


def set_application(folder: Path, body: str) -> None:
    (folder / "app/__main__.py").write_text(body)


def tools(image: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOLS, *arguments], env=image, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("code", [0, 1, 2, 75])
def test_the_exit_code_is_that_of_the_application(
    code: int, image: dict[str, str], tmp_path: Path
) -> None:
    set_application(tmp_path, f"raise SystemExit({code})")
    assert tools(image).returncode == code


def test_arguments_are_passed_on_as_they_are(image: dict[str, str]) -> None:
    assert tools(image, "--method", "a b", "-v").stdout == "['--method', 'a b', '-v']\n"


def test_the_application_starts_in_the_working_folder_and_takes_no_module_from_another(
    image: dict[str, str], tmp_path: Path
) -> None:
    hostile = tmp_path / "input"
    hostile.mkdir()
    (hostile / "secrets.py").write_text("raise SystemExit(9)")
    set_application(tmp_path, "import os, secrets, sys; print(os.getcwd(), sys.flags.safe_path)")
    image |= {"HOLOSCAN_WORKDIR": str(tmp_path / "docs"), "PYTHONPATH": ""}
    done = subprocess.run(
        [TOOLS], env=image, cwd=hostile, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.split() == [str(tmp_path / "docs"), "True"]


def test_a_signal_stops_the_application_and_waits_for_it(
    image: dict[str, str], tmp_path: Path
) -> None:
    set_application(
        tmp_path,
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "print('ready', flush=True); time.sleep(60)",
    )
    with subprocess.Popen([TOOLS], env=image, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 75  # the application sleeps for longer


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("show",), "etc/app.json\netc/pkg.json\n"),
        (("show", "app"), "etc/app.json\n"),
        (("show", "pkg"), "etc/pkg.json\n"),
    ],
)
def test_show_prints_the_manifests(
    arguments: tuple[str, ...], shown: str, image: dict[str, str]
) -> None:
    assert tools(image, *arguments).stdout == shown


def test_show_of_what_there_is_not_is_refused(image: dict[str, str]) -> None:
    done = tools(image, "show", "models")
    assert (done.returncode, done.stdout) == (2, "")
    assert "show app or show pkg, got: show models" in done.stderr


def test_extract_copies_all_parts(image: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    assert tools(image, "extract").returncode == 0
    found = {
        str(path.relative_to(tmp_path / "export"))
        for path in (tmp_path / "export").rglob("*")
        if path.is_file()
    }
    assert found == {
        "app/__main__.py", "config/app.json", "config/pkg.json", "config/app.yaml",
        "models/kidney_a/model.pt", "docs/L",
    }  # fmt: skip


def test_extract_copies_only_the_parts_that_have_a_folder(
    image: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "export/config").mkdir(parents=True)
    assert tools(image, "extract").returncode == 0
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["config"]
    assert len(list((tmp_path / "export/config").iterdir())) == 3


def test_extract_without_a_folder_is_refused(image: dict[str, str], tmp_path: Path) -> None:
    done = tools(image, "extract")
    assert done.returncode == 2
    assert f"expected a folder mounted at {tmp_path}/export" in done.stderr


def test_env_prints_the_environment(image: dict[str, str]) -> None:
    assert f"HOLOSCAN_MODEL_PATH={image['HOLOSCAN_MODEL_PATH']}\n" in tools(image, "env").stdout


def test_help_lists_the_commands(image: dict[str, str]) -> None:
    text = tools(image, "help").stdout
    assert all(f"tools {command}" in text for command in ("show", "extract", "env", "help"))
