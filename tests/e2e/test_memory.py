"""The memory that docs/conventions.md states for the longest series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from renalseg.dicom.write.ct import write_ct_series
from tests.e2e.conftest import Program

SLICES = 1059  # of the longest case of KiTS
PROGRAM = """
import json, sys
from pathlib import Path
from renalseg.dicom.read import series as read
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.scan import scan_folder
from renalseg.runtime.memory import peak_mib, reset_peak
import time
reset_peak()
start = peak_mib()
before = time.perf_counter()
plan = make_plan(scan_folder(Path(sys.argv[1])))
seconds = time.perf_counter() - before
headers = peak_mib() - start
series = read.read_best(plan.studies[0])
print(json.dumps({"headers": headers, "all": peak_mib() - start, "seconds": seconds,
                  "slices": series.image.shape[-1]}))
"""


@pytest.mark.slow
def test_the_longest_series_stays_within_the_stated_memory(
    tmp_path: Path, program: Program
) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (512, 512, 1), dtype=np.int16)
    hu = np.broadcast_to(noise, (512, 512, SLICES))
    write_ct_series(tmp_path, hu, np.diag([0.8, 0.8, 1.0, 1.0]))
    done = program("-c", PROGRAM, tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["slices"] == SLICES
    assert measured["headers"] < 100
    assert measured["all"] < 4 * 512 * 512 * SLICES / 2**20 + 120
