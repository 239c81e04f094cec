"""One study on its way through the graph, and how that ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from renalseg.output.study import StudyResult


class Run:
    """What the operators of one run share.

    Args:
        stages: Of `renalseg.pipeline.stages`; each operator advances it by one.

    Attributes:
        made: What the last stage made.
        error: What a stage raised. The first one ends the run.
    """

    def __init__(self, stages: Iterator[object]) -> None:
        self._stages = stages
        self.made: object = None
        self.error: BaseException | None = None

    @property
    def result(self) -> StudyResult | None:
        """What was written, once the last stage is done."""
        return self.made if isinstance(self.made, StudyResult) else None

    def advance(self) -> object:
        """Run the stage that is next, and give what it made."""
        self.made = next(self._stages)
        return self.made

    @contextmanager
    def kept_errors(self) -> Iterator[None]:
        """Keep an exception of the body and go on behind the body.

        Holoscan would log an exception that leaves an operator several times over. An operator
        that ends without a message instead leaves the next ones without work, and the graph ends.
        """
        try:
            yield
        except BaseException as error:
            self.error = error
