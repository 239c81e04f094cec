"""The operator of the application: one stage of `renalseg.pipeline.stages`."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Operator, OperatorSpec

from app.run import Run
from renalseg.pipeline import STAGES

PYTHON_OBJECT = "PyObject"
"""Type to emit with: Holoscan then passes the object itself, and a MetaTensor keeps its affine."""


class StageOperator(Operator):
    """Runs the stage that is next.

    Inputs:
        What the stage before made, under its name; none for the first.

    Outputs:
        What this stage made, under its name; none for the last. `renalseg.pipeline.stages` says
        what each makes.

    Args:
        run: What the operators of this run share.
        stage: Name of the stage, a key of `renalseg.pipeline.STAGES`.
    """

    def __init__(self, fragment: Any, *args: Any, run: Run, stage: str, **kwargs: Any) -> None:
        order = list(STAGES)
        place = order.index(stage)
        self._run = run
        self._stage = stage
        self._before = order[place - 1] if place else None
        self._last = stage == order[-1]
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        if self._before is not None:
            spec.input(self._before)
        if not self._last:
            spec.output(self._stage)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Run the stage and pass on what it made."""
        if self._before is not None:
            op_input.receive(self._before)
        with self._run.kept_errors():
            made = self._run.advance()
            if not self._last:
                op_output.emit(made, self._stage, PYTHON_OBJECT)
