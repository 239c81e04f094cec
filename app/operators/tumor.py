"""The third operator: finds the tumors in the kidneys."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Operator, OperatorSpec

from app.run import PYTHON_OBJECT, Run
from renalseg import pipeline


class TumorOperator(Operator):
    """Runs the tumor bundle on the kidneys and a margin around them.

    Inputs:
        series: `CTSeries` of the loader.
        kidney: (1, X, Y, Z) uint8 of the localizer or refiner, on the grid of the series.

    Outputs:
        judged: `Judged`: what may be reported, (1, X, Y, Z) uint8 on that grid (0 background,
            1 kidney, 2 tumor), and what is said of it.

    Args:
        run: What the operators of this run share.
    """

    def __init__(self, fragment: Any, *args: Any, run: Run, **kwargs: Any) -> None:
        self._run = run
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("series")
        spec.input("kidney")
        spec.output("judged")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Find the tumors and pass on what is plausible."""
        series = op_input.receive("series")
        kidney = op_input.receive("kidney")
        with self._run.stage("tumor"):
            pred = pipeline.find_tumors(series, kidney, self._run.models)
            judged = pipeline.judge_found(series, pred, self._run.models.settings)
            op_output.emit(judged, "judged", PYTHON_OBJECT)
