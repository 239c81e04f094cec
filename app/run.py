"""What the operators of one run share, and how the run ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from renalseg import pipeline
from renalseg.inference.models import Models
from renalseg.output.study import StudyResult

PYTHON_OBJECT = "PyObject"
"""Type to emit with: Holoscan then passes the object itself, and a MetaTensor keeps its affine."""


@dataclass
class Run:
    """One study on its way through the graph.

    Attributes:
        models: The bundles; they may still be compiled.
        timings: Seconds of each stage that is done.
        result: What was written, once the writer is done.
        error: What a stage raised. The first one ends the run.
    """

    models: Models
    timings: dict[str, float] = field(default_factory=dict)
    result: StudyResult | None = None
    error: BaseException | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body; on an exception keep it and go on behind the body.

        Holoscan would log an exception that leaves an operator several times over. An operator
        that ends without a message instead leaves the next ones without work, and the graph ends.

        Args:
            name: Stage, as in the timings.
        """
        try:
            with pipeline.stage(name, self.timings):
                yield
        except BaseException as error:
            self.error = error
