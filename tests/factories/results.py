"""Results of a study whose label map is given, as a run would write them; no network runs."""

from __future__ import annotations

from pathlib import Path

from monai.data import MetaTensor

from renalseg.dicom.read.series import CTSeries
from renalseg.findings.findings import Findings, describe
from renalseg.findings.sentences import Judgment
from renalseg.output.result import Result
from renalseg.output.study import write_study
from renalseg.settings import Settings


def as_found(series: CTSeries, pred: MetaTensor, settings: Settings) -> Findings:
    """What a study would give if all labels were plausible.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        settings: Of the method that is said to have run.
    """
    return describe(series.image, pred, settings.choice.numbers.sides, Judgment())


def write_as_run(series: CTSeries, pred: MetaTensor, out_dir: Path, settings: Settings) -> None:
    """Write the objects of a study and result.json.

    Args:
        series: The source.
        pred: (1, X, Y, Z) uint8 on its grid.
        out_dir: Made; there must be none yet.
        settings: What is said to have run, and what is written.
    """
    out_dir.mkdir(parents=True)
    study = write_study(series, as_found(series, pred, settings), out_dir, settings, {})
    Result(out_dir, settings, (study,)).write(out_dir)
