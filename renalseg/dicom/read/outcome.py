"""What came of the plan for a folder: candidates that proved unusable, studies given up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from renalseg.dicom.read.plan import Candidate, Plan, StudyPlan

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class StudyOutcome:
    """What came of a study so far.

    Attributes:
        plan: What was planned for it.
        left: The plan without the candidates that proved unusable since. If the study is given up,
            its refusal says why.
    """

    plan: StudyPlan
    left: StudyPlan = field(init=False)

    def __post_init__(self) -> None:
        """Nothing has come of it yet."""
        self.left = self.plan

    def reject(self, candidate: Candidate, reason: str) -> None:
        """Leave a candidate out; the next best takes its place."""
        logger.warning("%s is refused: %s", candidate.name, reason)
        self.left = self.left.without(candidate, reason).settled()

    def refuse(self, reason: str) -> None:
        """Give the study up; the best candidate gets the reason."""
        best = self.left.best
        left = self.left if best is None else self.left.without(best, reason)
        self.left = replace(left, refusal=left.refusal or reason)


class FolderOutcome:
    """What came of a folder so far.

    Attributes:
        plan: What was planned for it.
        studies: What came of each of its studies, in the order of the plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.studies = tuple(map(StudyOutcome, plan.studies))

    @property
    def left(self) -> Plan:
        """Return what is left of the plan; series and files are accounted from it."""
        return replace(self.plan, studies=tuple(study.left for study in self.studies))
