"""``python -m tools.wheel_test WHEEL``: installs a wheel outside the checkout and segments with it.

The dependencies are those of the Python that runs this; only RenalSeg itself comes from the wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from renalseg.labels import KIDNEY

CHECKOUT = Path(__file__).resolve().parents[1]
_TOPS = {"renalseg"}  # besides the metadata
_JUNK = ("__pycache__", ".pyc", ".onnx", ".log", "/eval/")


def unwanted(names: list[str]) -> list[str]:
    """The names in a wheel that do not belong there: other packages, caches, build outputs."""
    return [
        name
        for name in names
        if (name.split("/")[0] not in _TOPS and ".dist-info/" not in name)
        or any(junk in name for junk in _JUNK)
    ]


def missing(names: list[str]) -> list[str]:
    """Files of the checkout's bundles, and py.typed, that are missing in a wheel."""
    wanted = {"renalseg/py.typed"} | {
        f"renalseg/{path.relative_to(CHECKOUT).as_posix()}"
        for pattern in ("*_*/configs/*", "*_*/models/model.pt", "*_*/SHA256SUMS", "methods/*.yaml")
        for path in (CHECKOUT / "bundles").glob(pattern)
    }
    return sorted(wanted - set(names))


def install(wheel: Path, folder: Path) -> Path:
    """Installs a wheel alone into a new environment, which sees the packages of this Python.

    Returns:
        The folder of its programs.
    """
    venv.create(folder, symlinks=os.name == "posix")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    options = (
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *options], check=True)
    # A folder that is named here is searched, but the .pth files in it, such as that of an editable
    # install, are not read.
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = [
        subprocess.run([each, "-c", where], check=True, capture_output=True, text=True)
        for each in (python, sys.executable)
    ]
    packages, shared = (Path(process.stdout.strip()) for process in own)
    (packages / "dependencies.pth").write_text(f"{shared}\n", encoding="utf-8")
    return programs


def segment_sample(programs: Path, folder: Path) -> None:
    """Runs the commands of the wheel in a folder that is no checkout.

    Raises:
        RuntimeError: The package is not that of the wheel, or the sample's kidneys are not found.
    """

    def call(program: str, *arguments: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [str(programs / program), *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    place = Path(call("python", "-c", "import renalseg; print(renalseg.__file__)").strip())
    if programs.parent not in place.parents:
        raise RuntimeError(f"expected renalseg in {programs.parent}, found {place}")
    methods = json.loads(call("renalseg", "methods", "--json"))
    call("renalseg", "sample", "sample")
    call("renalseg", "inspect", "sample/dicom")
    call("renalseg", "run", "sample/dicom", "out")
    result = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    (study,) = result["studies"]
    kidneys = [each for each in study["segments"] if each["kind"] == KIDNEY]
    if result["fingerprint"] != methods[0]["fingerprint"] or len(kidneys) != 2:
        raise RuntimeError(f"expected two kidneys by {methods[0]['method']}, found {study}")


def main() -> None:
    """Tests the wheel that is named on the command line."""
    wheel = Path(sys.argv[1]).resolve()
    names = zipfile.ZipFile(wheel).namelist()
    if unwanted(names) or missing(names):
        sys.exit(f"{wheel} holds {unwanted(names)}, and lacks {missing(names)}")
    with tempfile.TemporaryDirectory(prefix="renalseg-wheel-") as text:
        folder = Path(text).resolve()
        segment_sample(install(wheel, folder / "environment"), folder)
    sys.stdout.write(f"{wheel.name}: installed outside the checkout, it segments the sample\n")


if __name__ == "__main__":
    main()
