"""The second operator: finds the kidneys."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Operator, OperatorSpec

from app.run import PYTHON_OBJECT, Run
from renalseg import pipeline


class KidneyLocalizerOperator(Operator):
    """Runs the kidney bundle on the whole volume.

    Inputs:
        series: `CTSeries` of the loader.

    Outputs:
        kidney: (1, X, Y, Z) uint8 on the grid of the series; 1 is kidney with any tumor in it.

    Args:
        run: What the operators of this run share.
    """

    def __init__(self, fragment: Any, *args: Any, run: Run, **kwargs: Any) -> None:
        self._run = run
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("series")
        spec.output("kidney")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Find the kidneys and pass their mask on."""
        series = op_input.receive("series")
        with self._run.stage("localize"):
            kidney = pipeline.localize(series, self._run.models)
            op_output.emit(kidney, "kidney", PYTHON_OBJECT)
