"""Runs that are killed while they write: nothing readable is left of a result that is not complete.

RENALSEG_KILLS sets how many runs are killed. The label map is drawn; no network runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories.series import write_case

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

KILLS = int(os.environ.get("RENALSEG_KILLS", "100"))

# One process reads the series and imports everything; its children write results and are killed
# at a random time. The folders are in turn: new, there and empty, there with an earlier result of
# fewer slices, and one beside which no hidden folder can be made, as a mounted one.
PROGRAM = """
import json, os, random, shutil, signal, sys, time, traceback
from pathlib import Path
import numpy as np, pydicom, torch
torch.set_num_threads(1)
from monai.data import MetaTensor
from renalseg.dicom.read.series import read_series
from renalseg.findings.sentences import Judgment
from renalseg.runtime import staging
from renalseg.output.result import Result
from renalseg.output.place import all_at_once
from renalseg.findings.findings import describe
from renalseg.findings.sentences import Judgment
from renalseg.inference.choice import Choice
from renalseg.settings import Settings

base, kills = Path(sys.argv[1]), int(sys.argv[2])
settings = Settings(Choice(base, "kidney_x", "tumor_x", torch.device("cpu")))
whole, late = read_series(base / "in"), read_series(base / "fewer")
move_to = staging.Staging.move_to

def write(series, out, mounted=False):
    def refuse(*_):
        raise OSError("another file system")
    staging.Staging.move_to = refuse if mounted else move_to
    pred = (series.image.as_tensor() > 500).byte()
    labels = MetaTensor(pred, affine=series.image.affine)
    with all_at_once(out) as place:
        found = describe(series.image, labels, settings.choice.numbers.sides, Judgment())
        study = place.write(series, found, settings, {})
        Result(out, settings, (study,)).write(place.folder)

def objects(folder):
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                # as leniently as any collector may read
                uid = str(pydicom.dcmread(path, force=True).SOPInstanceUID)
                found[uid] = path.read_bytes()
            except Exception:
                pass
    return found

def prepare(kind, place):
    place.mkdir()
    out = place / "out"
    if kind == "earlier":
        shutil.copytree(base / "done", out)
    elif kind != "new":
        out.mkdir()
    return out

write(late, base / "done")
earlier = objects(base / "done")
kinds = ("new", "empty", "earlier", "mounted")
expected, seconds = {}, {}
for kind in kinds:  # the first also imports
    for _ in range(2):
        shutil.rmtree(base / "place", ignore_errors=True)
        out = prepare(kind, base / "place")
        start = time.perf_counter()
        write(whole, out, kind == "mounted")
        seconds[kind] = time.perf_counter() - start
    expected[kind] = objects(out)
    assert len(expected[kind]) == 3, len(expected[kind])

draw, ends = random.Random(18), {"nothing": 0, "complete": 0}
for number in range(kills):
    kind = kinds[number % len(kinds)]
    shutil.rmtree(base / "place", ignore_errors=True)
    out = prepare(kind, base / "place")
    child = os.fork()
    if child == 0:
        try:
            write(whole, out, kind == "mounted")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    time.sleep(draw.random() * seconds[kind] * 1.2)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    found = objects(base / "place")
    before = earlier if kind == "earlier" else {}
    new = {uid: content for uid, content in found.items() if uid in expected[kind]}
    old = {uid: content for uid, content in found.items() if uid not in expected[kind]}
    assert new in ({}, expected[kind]), (number, kind, len(new))
    assert all(before[uid] == content for uid, content in old.items())
    assert old == before or new  # what is superseded goes one by one, once the new is complete
    ends["complete" if new else "nothing"] += 1
    if number % 5 == 0:  # who comes next finds a place to work in, and leaves nothing else
        write(whole, out, kind == "mounted")
        assert objects(base / "place") == expected[kind]
        assert not [path for path in (base / "place").rglob(".renalseg-*")]
print(json.dumps(ends))
"""


def killed(tmp_path: Path, kills: int) -> dict[str, int]:
    """How so many killed runs ended, by what was left."""
    write_case(tmp_path / "in")
    for path in write_case(tmp_path / "fewer").paths[:2]:
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(kills)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    ends: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return ends


def test_a_few_killed_runs_leave_nothing_that_is_partial(tmp_path: Path) -> None:
    assert sum(killed(tmp_path, 8).values()) == 8


@pytest.mark.slow
def test_many_killed_runs_leave_nothing_that_is_partial(tmp_path: Path) -> None:
    ends = killed(tmp_path, KILLS)
    assert sum(ends.values()) == KILLS
    assert ends["nothing"] > KILLS // 4  # most were killed before the end
