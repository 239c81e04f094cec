"""What the documents name is there: links, anchors, files and modules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "deploy" / "README.md"]
PAGES += sorted((ROOT / "bundles").glob("*/docs/README.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:renalseg|app|tools|tests|bundles|deploy)/[\w./]*\w)`")
_NAME = re.compile(r"`(?:python -m )?((?:renalseg|tools|app)(?:\.\w+)+)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or a name that the module it begins with holds."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        module = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path
        if module.is_dir():
            module = module / "__init__.py"
        if module.is_file():
            rest = parts[length : length + 1]
            return not rest or bool(re.search(rf"\b{rest[0]}\b", module.read_text("utf-8")))
    return False


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_files_and_modules_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not [name for name in _FILE.findall(text) if not (ROOT / name).exists()]
    assert not [name for name in _NAME.findall(text) if not _exists(name)]


def test_names_that_are_gone_are_noticed() -> None:
    assert _exists("renalseg.inference.bundle.segment_case")
    assert not _exists("renalseg.inference.bundle.no_such_name")
    assert not _exists("renalseg.results.plausibility")


def test_the_floors_are_those_that_imports_keep_to() -> None:
    """The table of docs/architecture.md and the contract of import-linter, from top to bottom."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    floors = {
        name: height
        for height, layer in enumerate(contract["layers"])
        for name in layer.split(" | ")
    }
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Floors")[2].partition("Next to the package")[0]
    cells = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    named = [name for name in re.findall(r"`(\w+)`", cells) if name not in ("read", "write")]
    assert sorted(named) == sorted(floors)
    assert [floors[name] for name in named] == sorted(floors.values())
