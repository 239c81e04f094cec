"""The notebooks of the guides run as they are, to a table and a picture."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@every_notebook
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    for cell in cells_of(path):
        assert (cell.outputs, cell.execution_count) == ([], None)


def test_ten_lines_are_enough() -> None:
    (cell,) = (each for each in cells_of(FOLDER / "volumes.ipynb") if "Segmenter" in each.source)
    assert len([line for line in cell.source.splitlines() if line]) <= 10


@pytest.mark.slow
def test_the_notebook_gives_a_table_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENALSEG_DEVICE", "cpu")
    notebook = nbformat.read(FOLDER / "volumes.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": tmp_path}})
    client.execute()
    *_, table, picture = (cell.outputs[-1] for cell in notebook.cells if cell.get("outputs"))
    assert "Left kidney" in table.data["text/html"]
    assert "Right kidney" in table.data["text/html"]
    png = base64.b64decode(picture.data["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["cts"]
