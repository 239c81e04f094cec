"""Renews the pictures of the guides from the sample: ``python -m tests.pictures``.

The default method segments the embedded sample CT; the picture, the PDF and the page of that run
become the pictures. Each carries the software that made it, which a test compares with today's.
Needs pdftoppm (Debian: poppler-utils) and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pydicom
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from renalseg import __version__
from renalseg.settings import Settings
from tests.factories.browser import browser_page, screenshot

FOLDER = Path(__file__).parents[1] / "docs" / "images"
PICTURES = ("demo.png", "report.png", "page.png")
_KEY = "Software"
_SEED = "0"  # a tumor of 5 cm in the right kidney
_DPI = "90"  # of the page of the report
_PAGE_HEIGHT = 1290


def software() -> str:
    """What decides how the pictures look: version, method, networks and their fingerprints."""
    return "; ".join((f"RenalSeg {__version__}", *Settings.resolve(device="cpu").choice.software))


def stamp_of(path: Path) -> str | None:
    """The software that a picture says it was made by."""
    with Image.open(path) as image:
        return image.info.get(_KEY)


def save(source: Path, path: Path, made_by: str) -> None:
    """Saves a picture with its stamp."""
    stamp = PngInfo()
    stamp.add_text(_KEY, made_by)
    with Image.open(source) as image:
        image.convert("RGB").save(path, pnginfo=stamp, optimize=True)


def main() -> None:
    """Runs the sample and makes the pictures."""
    with tempfile.TemporaryDirectory() as name:
        _renalseg("sample", Path(name) / "sample", "--seed", _SEED)
        make(Path(name) / "sample" / "dicom", Path(name))


def make(ct: Path, work: Path) -> None:
    """Makes the pictures of a CT, all of them or none; `work` is a scratch folder."""
    program = shutil.which("pdftoppm")
    if program is None:
        raise SystemExit("make pictures needs pdftoppm (Debian: apt-get install poppler-utils)")
    stamp = software()
    out, picture, html = (work / name for name in ("out", "picture", "html"))
    _renalseg("run", ct, out, "--device", "cpu", "--overlay", picture, "--report", html)
    report = pydicom.dcmread(_only(out, "*.pdf.dcm"))
    (work / "report.pdf").write_bytes(report.EncapsulatedDocument)
    first = ("-png", "-r", _DPI, "-f", "1", "-singlefile")
    subprocess.run([program, *first, work / "report.pdf", work / "report"], check=True)
    with browser_page() as page:
        page.goto(_only(html, "*.html").as_uri())
        page.wait_for_function("document.documentElement.dataset.viewer === 'ready'")
        screenshot(page, work / "page.png", height=_PAGE_HEIGHT)
    made = (_only(picture, "*.png"), work / "report.png", work / "page.png")
    for source, name in zip(made, PICTURES, strict=True):
        save(source, FOLDER / name, stamp)


def _renalseg(*arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "renalseg.commands.main", *map(str, arguments)], check=True
    )


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


if __name__ == "__main__":
    main()
