"""The graph of the application."""

from __future__ import annotations

import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application

from app.run import Run
from app.stage_operator import StageOperator
from renalseg import pipeline
from renalseg.errors import RenalSegError
from renalseg.inference.models import Models
from renalseg.intake.folders import AnyStudy
from renalseg.output.place import Place
from renalseg.output.result import Result
from renalseg.output.study import StudyResult
from renalseg.runtime.progress import bar_wanted
from renalseg.settings import Settings

OPERATORS = {
    "read": "dicom_loader",
    "localize": "kidney_localizer",
    "tumor": "tumor",
    "measure": "measurement",
    "write": "dicom_seg_writer",
}
"""The stages of `renalseg.pipeline.STAGES` in their order, and their operators' names."""


class RenalSegApp(Application):
    """Reads a CT study, finds kidneys and tumors, measures them and writes the segmentation.

    Args:
        run: What the operators share.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        # Only the program's name: Holoscan would parse the arguments, and does not know ours.
        super().__init__([sys.executable, "renalseg"])

    def compose(self) -> None:
        """Wire the operators: a chain of the stages."""
        operators: dict[str, StageOperator] = {}
        for stage, name in OPERATORS.items():
            once = [] if operators else [CountCondition(self, 1)]  # the first starts by itself
            operators[stage] = StageOperator(self, *once, run=self._run, stage=stage, name=name)
        for one, other in pairwise(operators):
            self.add_flow(operators[one], operators[other], {(one, one)})


def run_graph(study: Path, output: Path, settings: Settings) -> Result:
    """Run the graph on each study of a folder, in this process.

    Args:
        study: Folder with the DICOM files of one patient.
        output: Folder for the results.
        settings: Bundles, device, and what is written.

    Returns:
        What was written.

    Raises:
        BaseException: What a stage raised, as it was raised.
        RenalSegError: A graph ended early, and no stage says why.
    """
    with Models(settings.choice, progress=bar_wanted()) as models:
        segment = partial(segment_by_graph, models, settings)
        return pipeline.run(study, output, models, settings, segment)


def segment_by_graph(
    models: Models, settings: Settings, study: AnyStudy, place: Place
) -> StudyResult:
    """Run the graph on one study; as `pipeline.run_stages`, which needs no Holoscan."""
    run = Run(pipeline.stages(study, place, models, settings))
    RenalSegApp(run).run()
    if run.error is not None:
        raise run.error
    if run.result is None:
        raise RenalSegError("the graph ended without a result, and no stage says why")
    return run.result
