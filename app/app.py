"""The graph of the application."""

from __future__ import annotations

import sys
from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application

from app.operators import (
    DicomLoaderOperator,
    DicomSegWriterOperator,
    KidneyLocalizerOperator,
    TumorOperator,
)
from app.run import Run
from renalseg import pipeline
from renalseg.dicom.read.choose import StudyPlan
from renalseg.errors import RenalSegError
from renalseg.inference.models import Models
from renalseg.output.place import Place
from renalseg.output.result import Result
from renalseg.output.study import StudyResult
from renalseg.runtime.progress import bar_wanted
from renalseg.settings import Settings


class RenalSegApp(Application):
    """Reads a CT study, finds the kidneys, finds the tumors in them and writes the segmentation.

    Args:
        study: The series of the study.
        output: Gets the files.
        run: What the operators share.
    """

    def __init__(self, study: StudyPlan, output: Place, run: Run) -> None:
        self._study = study
        self._output = output
        self._run = run
        # Only the program's name: Holoscan would parse the arguments, and does not know ours.
        super().__init__([sys.executable, "renalseg"])

    def compose(self) -> None:
        """Wire the operators."""
        run = self._run
        once = CountCondition(self, 1)
        loader = DicomLoaderOperator(self, once, study=self._study, run=run, name="dicom_loader")
        localizer = KidneyLocalizerOperator(self, run=run, name="kidney_localizer")
        tumor = TumorOperator(self, run=run, name="tumor")
        writer = DicomSegWriterOperator(self, output=self._output, run=run, name="dicom_seg_writer")

        self.add_flow(loader, localizer, {("series", "series")})
        self.add_flow(loader, tumor, {("series", "series")})
        self.add_flow(localizer, tumor, {("kidney", "kidney")})
        self.add_flow(loader, writer, {("series", "series")})
        self.add_flow(tumor, writer, {("judged", "judged")})


def run_graph(study: Path, output: Path, settings: Settings) -> Result:
    """Run the graph on each study of a folder, in this process.

    Args:
        study: Folder with the DICOM files of one patient.
        output: Folder for the results.
        settings: Bundles and device.

    Returns:
        What was written.

    Raises:
        BaseException: What a stage raised, as it was raised.
        RenalSegError: A graph ended early, and no stage says why.
    """
    with Models(settings, progress=bar_wanted()) as models:
        return pipeline.run(study, output, models, segment_by_graph)


def segment_by_graph(study: StudyPlan, place: Place, models: Models) -> StudyResult:
    """Run the graph on one study; as `pipeline.segment_study`, which needs no Holoscan."""
    run = Run(models)
    RenalSegApp(study, place, run).run()
    if run.error is not None:
        raise run.error
    if run.result is None:
        raise RenalSegError(
            f"the graph ended after the stages {list(run.timings)} without a result"
        )
    return run.result
