"""A training that was killed at the worst moment goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from renalseg.runtime.staging import PREFIX
from renalseg.training.history import read_history
from tests.factories.trainings import train_cubes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX"),
]
ROOT = Path(__file__).parents[2]

# Trains, and dies by SIGKILL with the second file of a name half written, or before its renaming.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from tests.factories.trainings import train_cubes

out, name, moment = sys.argv[1:]
written = 0
save, replace = torch.save, os.replace

def deadly_save(state, file):
    global written
    written += file.name == name
    if moment == "writing" and written == 2:
        file.write_bytes(b"PK" + bytes(500))
        os.kill(os.getpid(), signal.SIGKILL)
    save(state, file)

def deadly_replace(source, target):
    if moment == "renaming" and Path(source).name == name and written == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

torch.save, os.replace = deadly_save, deadly_replace
train_cubes(Path(out))
"""


def kill(out: Path, name: str, moment: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(out), name, moment],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert list(out.glob(f"{PREFIX}*/files/{name}"))  # what was not finished is not read


def state(out: Path) -> dict[str, Any]:
    stored: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    return stored


@pytest.mark.parametrize(
    ("name", "moment"),
    [("checkpoint.pt", "writing"), ("checkpoint.pt", "renaming"), ("best.pt", "writing")],
)
def test_it_ends_with_the_weights_of_an_uninterrupted_one(
    name: str, moment: str, tmp_path: Path
) -> None:
    train_cubes(tmp_path / "whole")
    killed = tmp_path / "killed"
    kill(killed, name, moment)
    reached = state(killed)["trainer"]["iteration"]
    assert reached in (2, 4)
    train_cubes(killed)
    expected, found = state(tmp_path / "whole"), state(killed)
    assert found["trainer"]["iteration"] == expected["trainer"]["iteration"] == 8
    for part in ("network", "average"):
        for key, value in expected[part].items():
            torch.testing.assert_close(found[part][key], value, rtol=0, atol=0)
    assert found["validation"] == expected["validation"]
    rows = [read_history(folder) for folder in (tmp_path / "whole", killed)]
    kept = [[{k: v for k, v in row.items() if k != "seconds"} for row in one] for one in rows]
    assert kept[0] == kept[1]
    best = [torch.load(f / "best.pt", weights_only=True) for f in (tmp_path / "whole", killed)]
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    assert not list(killed.glob(f"{PREFIX}*"))
