"""The last operator: writes the result."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Operator, OperatorSpec

from app.run import Run
from renalseg.output.place import Place


class DicomSegWriterOperator(Operator):
    """Writes the DICOM files of a study.

    Inputs:
        series: `CTSeries` of the loader.
        judged: `Judged` of the tumor operator, on the grid of the series.

    Args:
        output: Where the files go.
        run: What the operators of this run share; gets the result.
    """

    def __init__(self, fragment: Any, *args: Any, output: Place, run: Run, **kwargs: Any) -> None:
        self._output = output
        self._run = run
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("series")
        spec.input("judged")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write the files and keep what was written."""
        series = op_input.receive("series")
        judged = op_input.receive("judged")
        with self._run.stage("write"):
            settings, timings = self._run.models.settings, self._run.timings
            self._run.result = self._output.write(
                series, judged.pred, settings, timings, judged.judgment
            )
