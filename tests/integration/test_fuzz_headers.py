"""Hostile values in any tag: no file appears outside the output, and no run ends in a fault.

RENALSEG_FUZZ=10000 sets how many values are tried, RENALSEG_FUZZ_SEED which. The networks are
stubs.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from pydicom.datadict import DicomDictionary

from renalseg.commands.inspect import inspect_folder, print_inspection
from renalseg.commands.main import report_error
from renalseg.commands.summary import print_result
from renalseg.errors import EXIT_REFUSED
from renalseg.inference.choice import Choice
from renalseg.output.fhir import SUFFIX
from renalseg.runtime import log
from renalseg.runtime.harmless import one_line
from renalseg.settings import OF_ANY_CT, OUTPUTS, Settings
from tests.factories.hostile import PIXELS, TAGS, TEXTS, VRS, Element, build, parse
from tests.factories.limits import ANYTHING
from tests.factories.road import run_with
from tests.factories.series import write_case

SEED = int(os.environ.get("RENALSEG_FUZZ_SEED", "18"))
COUNT = int(os.environ.get("RENALSEG_FUZZ", "100"))
AT_ONCE = 4  # values in a run: one in a tag that is read, the others in any
PAGES, REPORTS = 40, 4  # every so manieth run writes all outputs, or the report too: they are slow
FORGED = "FORGED"
PATHS = (
    *("../../EVIL", "../EVIL", "EVIL", "..", ".", "/", "\\\\host\\EVIL", "C:\\EVIL", "~/EVIL"),
    *("{root}/EVIL", "{root}/out/../EVIL", "1.2/../../EVIL", "1.2.3\0/EVIL", "$HOME/EVIL"),
    *("EVIL" * 100, "con", "%2e%2e%2fEVIL", "1.2\n", "..\\..\\EVIL"),
)
SPEECH = (
    *(f"x\n{FORGED} line", f"x\r{FORGED} line", "\x1b[2J\x1b[31m", "\x9b2J", "\x07\x08\x7f"),
    *("\u202egnp.exe", "\u2028" + FORGED, "=cmd|'/C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1"),
    *("<script>alert(1)</script>", "</title>", "&amp;\"'>", "$\\frac{1}{0}$", "${USER}", "%s%n"),
    *(
        "[red]x[/red]",
        "[/]",
        "{0}",
        "{study}",
        "\ud55c\uad6d \u0639\u0631\u0628\u064a",
        "\U0001f4a9",
    ),
)
CODES = (
    *(0x00100010, 0x00100020, 0x0008103E, 0x00081030, 0x00181210, 0x0020000D, 0x0020000E),
    *(0x00080018, 0x00080016, 0x00080060, 0x00080008, 0x00080005, 0x00200052, 0x00181030),
    *(0x00080050, 0x00200010, 0x00200011, 0x00080090, 0x00081032, 0x00180015, 0x00180010),
)
CHARACTER_SET = 0x00080005
ANY = [tag for tag in DicomDictionary if 0x00080000 <= tag < 0x60000000]


class Bright:
    """Takes the place of `Models`: the marker of the series is a kidney with a tumor."""

    def __init__(self, outputs: tuple[str, ...], folder: Path) -> None:
        asked = folder if set(outputs) == set(OUTPUTS) else None
        bundles = (Path("bundles"), "kidney_x", "tumor_x")
        choice = Choice(*bundles, torch.device("cpu"), numbers=ANYTHING)
        self.settings = Settings(choice, outputs=outputs, overlay=asked, report=asked)

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        return MetaTensor((image.as_tensor() > 500).byte(), affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        pred = kidney.as_tensor().clone()
        for place in pred.nonzero()[:4]:
            pred[tuple(place)] = 2
        return MetaTensor(pred, affine=kidney.affine)


class Values(random.Random):
    """Draws hostile values and puts them into files."""

    def text(self, root: Path) -> bytes:
        """A value as it stands in a file."""
        kind = self.choice("ppssstrb")
        if kind == "t":
            value = self.choice(TEXTS)
        elif kind == "b":
            value = self.randbytes(self.randrange(60))
        elif kind == "r":
            value = "".join(
                chr(self.randrange(1, 0x300)) for _ in range(self.randrange(70))
            ).encode()
        else:
            text = self.choice(PATHS if kind == "p" else SPEECH).replace("{root}", str(root))
            value = text.encode("utf-8", "surrogatepass")
        return value + b" " * (len(value) % 2)

    def change(self, root: Path, files: list[list[Element]]) -> tuple[str, list[bytes]]:
        """Puts values into all files, or into one; says which."""
        tags = [self.choice((*TAGS, *CODES)), *self.sample(ANY, AT_ONCE - 1)]
        said = []
        for tag in tags:
            new = Element(tag, self.vr(tag, files[0]), self.text(root))
            only = self.randrange(len(files)) if self.random() < 0.2 and tag != PIXELS else None
            files = [
                elements if only not in (None, number) else _put(elements, new)
                for number, elements in enumerate(files)
            ]
            said.append(f"{tag:08x} {new.vr!r} {new.value[:80]!r} in {only or 'all'}")
        if self.random() < 0.5 and CHARACTER_SET not in tags:  # then text of any script is text
            utf = Element(CHARACTER_SET, b"CS", b"ISO_IR 192")
            files = [_put(elements, utf) for elements in files]
        return "; ".join(said), [build(elements) for elements in files]

    def vr(self, tag: int, elements: list[Element]) -> bytes:
        """Its own type, or now and then another."""
        known = next((element.vr for element in elements if element.tag == tag), None)
        own = known or str(DicomDictionary[tag][0])[:2].encode()
        return self.choice((own, own, own, self.choice(VRS)))


def _put(elements: list[Element], new: Element) -> list[Element]:
    if any(element.tag == new.tag for element in elements):
        return [replace(new) if element.tag == new.tag else element for element in elements]
    return sorted([*elements, new], key=lambda element: element.tag)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[list[Element]]:
    # the marker lies above the middle: with so many slices it is there
    written = write_case(tmp_path_factory.mktemp("whole"), slices=6)
    return [parse(path.read_bytes()) for path in written.paths]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder some levels down; whatever a path leads to lies below `tmp_path`."""
    root = tmp_path / "a" / "b" / "root"
    (root / "cwd").mkdir(parents=True)
    monkeypatch.chdir(root / "cwd")
    monkeypatch.setattr(os, "fsync", lambda _: None)  # many thousand times
    return root


def run(root: Path, contents: list[bytes], outputs: tuple[str, ...]) -> tuple[int, str]:
    """What a run ends with, and all that it, its summary and an inspection say."""
    for name in ("in", "out", "pictures"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "in").mkdir()
    for number, content in enumerate(contents):
        (root / "in" / f"{number}.dcm").write_bytes(content)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.start()
        codes = []
        for step in (_inspect, _run):
            try:
                step(root, outputs)
                codes.append(0)
            except Exception as error:
                codes.append(report_error(error))
    return max(codes, key=lambda code: (code == 1, codes[-1] == code)), said.getvalue()


def _inspect(root: Path, _outputs: tuple[str, ...]) -> None:
    print_inspection(inspect_folder(root / "in"))


def _run(root: Path, outputs: tuple[str, ...]) -> None:
    run_with(root / "in", root / "out", Bright(outputs, root / "pictures"))  # type: ignore[arg-type]
    print_result(root / "out")


def check(base: Path, root: Path, code: int, said: str) -> None:
    """Holds what must be true of every run."""
    assert code in (0, EXIT_REFUSED), said
    allowed = (root / "in", root / "out", root / "pictures")
    outside = [
        path
        for path in base.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in allowed)
    ]
    assert outside == []
    assert (root / "out" / "result.json").is_file() == (code == 0)
    assert not [line for line in said.splitlines() if line.startswith(FORGED)]
    assert all(one_line(line) == line for line in said.split("\n"))


def fuzz(base: Path, root: Path, files: list[list[Element]], seed: int, count: int) -> list[int]:
    """Tries so many values; gives the exit codes."""
    values, codes = Values(seed), []
    for number in range(count // AT_ONCE):
        change, contents = values.change(root, files)
        outputs = ("seg", "sr") if number % REPORTS == 0 else ("seg",)
        outputs = OUTPUTS if number % PAGES == 0 else outputs
        code, said = run(root, contents, outputs)
        try:
            check(base, root, code, said)
        except AssertionError as error:
            raise AssertionError(f"run {number} of seed {seed}, {change}: {error}") from error
        codes.append(code)
    return codes


def test_the_series_itself_is_processed(
    files: list[list[Element]], root: Path, tmp_path: Path
) -> None:
    code, said = run(root, [build(elements) for elements in files], OUTPUTS)
    check(tmp_path, root, code, said)
    assert code == 0
    written = [path.name for path in (root / "out").iterdir()]
    for name in set(OUTPUTS) - set(OF_ANY_CT):
        suffix = SUFFIX if name == "fhir" else f".{name}.dcm"
        assert sum(file.endswith(suffix) for file in written) == 1
    for suffix in (".nrrd", ".mha", ".glb"):
        assert sum(file.endswith(suffix) and ".seg." not in file for file in written) == 1
    assert sum(file.endswith(".seg.nrrd") for file in written) == 1
    assert sum(file.endswith(".nii.gz") for file in written) >= 2  # the map, and masks
    assert len(list((root / "pictures").iterdir())) == 2


def test_hostile_values_in_any_tag(files: list[list[Element]], root: Path, tmp_path: Path) -> None:
    codes = fuzz(tmp_path, root, files, SEED, min(COUNT, 100))
    assert codes.count(0) >= 5  # of most tags a value changes nothing
    assert codes.count(EXIT_REFUSED) >= 5


@pytest.mark.slow
def test_many_hostile_values_in_any_tag(
    files: list[list[Element]], root: Path, tmp_path: Path
) -> None:
    fuzz(tmp_path, root, files, SEED, max(COUNT, 10_000))
