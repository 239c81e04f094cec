"""The gate on a real method: variants in processes of their own, on a drawn case."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.accuracy import gate
from tools.accuracy.variants import DEFAULT, PLAIN, variants_for
from tools.markdown import marks


@pytest.mark.slow
def test_the_shipped_settings_of_resvnet_cost_no_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gate, "variants_for", lambda device: {n: variants_for(device)[n] for n in (PLAIN, DEFAULT)}
    )
    page = tmp_path / "page.md"
    page.write_text("\n".join(("Text", *marks(gate.MARK), "")))
    gate.run_gate([], samples=1, slices=40, methods=["resvnet"], device="cpu", markdown=page)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| resvnet")]
    plain, default = rows[:2]  # the others are of each case
    assert plain.endswith("reference |")
    assert default.endswith("| fit |")
    assert float(default.split("|")[5]) > 0.5  # mean Dice of the kidney
