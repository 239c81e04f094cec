"""The first operator: reads the CT series of a study that suits best."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Operator, OperatorSpec

from app.run import PYTHON_OBJECT, Run
from renalseg import pipeline
from renalseg.dicom.read.choose import StudyPlan


class DicomLoaderOperator(Operator):
    """Reads the CT series of a study that suits best.

    Outputs:
        series: `CTSeries` with the image (1, X, Y, Z) in HU, float32, its affine in RAS mm, and the
            header of each slice.

    Args:
        study: The series of the study; their files are only read.
        run: What the operators of this run share.
    """

    def __init__(
        self, fragment: Any, *args: Any, study: StudyPlan, run: Run, **kwargs: Any
    ) -> None:
        self._study = study
        self._run = run
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.output("series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Read the series and pass it on."""
        with self._run.stage("read"):
            series = pipeline.load_study(self._study)
            op_output.emit(series, "series", PYTHON_OBJECT)
