"""The numbers of a method's file, which no bundle holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from renalseg.labels import ContrastPhase

Range = tuple[float, float]


@dataclass(frozen=True)
class KidneyRange:
    """Range of each trait of a kidney.

    Attributes:
        volume_ml: Of the connected piece with its tumors; both kidneys if they are joined.
        length_mm: Along its principal axis, with its tumors.
        median_hu: Of its tissue, one voxel below the surface.
        spread_hu: Distance of the quartiles there.
        bone_inside: Share of voxels as dense as bone.
        fat_around: Share of fat in the layer around it.
        bone_around: Share of bone there.
        air_around: Share of air there.
        solidity: Share of its convex hull that it fills.
        flat_face: Largest share of its widest section that one of its outermost planes has: what
            ends so abruptly was cut by a box or a midline, not grown.
        midline_share: Section at the midline as a share of the largest section parallel to it.
        lateral_mm: Distance of its center from the spine, to the side.
        forward_mm: The same to the front.
        spine: Bone where the spine is, from 0 (none) to 1.
    """

    volume_ml: Range
    length_mm: Range
    median_hu: Range
    spread_hu: Range
    bone_inside: Range
    fat_around: Range
    bone_around: Range
    air_around: Range
    solidity: Range
    flat_face: Range
    midline_share: Range
    lateral_mm: Range
    forward_mm: Range
    spine: Range

    def __post_init__(self) -> None:
        """Refuses a range that runs backward."""
        for field in fields(self):
            low, high = getattr(self, field.name)
            if low > high:
                raise ValueError(f"expected a range from low to high for {field.name}")


@dataclass(frozen=True)
class TumorLimits:
    """Limits that tell a tumor from the kidney itself.

    Attributes:
        phases: Contrast phases in which tumors are reported.
        measured: Those in which the method was measured on real tumors; in others, a reported
            tumor is to be reviewed.
        least_kidney: A kidney of which less than this share is left, without being enlarged, is
            no tumor.
        enlarged: A side is enlarged if it has this many times the volume of the other.
        single_ml: Volume up to which a single kidney with its tumors is not enlarged.
        overlap: A region looks like the other kidney if their histograms of HU share this much.
        large_share: Share of its side from which a region that looks like the other kidney is not
            reported; a smaller one is reported with a reason for review.
        thickness: A region in which the largest ball has less than this share of the radius of a
            ball of its volume is no tumor.
        solidity: A tumor that fills less than this share of its convex hull is in fragments, which
            is a reason for review.
        islands: Most islands of a tumor in one slice that are no reason for review.
        island_mm2: Area from which an island counts.
    """

    phases: tuple[str, ...]
    measured: tuple[str, ...]
    least_kidney: float
    enlarged: float
    single_ml: float
    overlap: float
    large_share: float
    thickness: float
    solidity: float
    islands: int
    island_mm2: float

    def __post_init__(self) -> None:
        """Refuses phases that do not exist."""
        for phase in (*self.phases, *self.measured):
            ContrastPhase(phase)


@dataclass(frozen=True)
class PhaseLimits:
    """HU that separate the contrast phases.

    Attributes:
        kidney_hu: Kidneys below it do not enhance.
        aorta_hu: A vessel below it holds no contrast medium.
        medulla_hu: By how much the cortex is brighter than the medulla in the corticomedullary
            phase.
        first_pass_hu: By how much the aorta is brighter than the cortex then.
        urine_hu: By how much excreted contrast medium is brighter than cortex and aorta.
        urine_ml: Volume of it from which a kidney excretes.
    """

    kidney_hu: float
    aorta_hu: float
    medulla_hu: float
    first_pass_hu: float
    urine_hu: float
    urine_ml: float


@dataclass(frozen=True)
class Plausibility:
    """Limits of plausibility, which every reported finding meets.

    Attributes:
        step_mm: Voxels are looked at about so far apart.
        layer_mm: From where to where the layer around a kidney goes.
        least_ml: Smaller pieces go with the largest of their side.
        possible: A piece with one trait outside is no kidney.
        usual: Each trait outside is a doubt; so is a body part far from the kidneys in the header.
        most_doubts: A piece with more doubts is no kidney.
        tumor: When a tumor is reported.
        phase: How contrast phases are told apart.
    """

    step_mm: float
    layer_mm: Range
    least_ml: float
    possible: KidneyRange
    usual: KidneyRange
    most_doubts: int
    tumor: TumorLimits
    phase: PhaseLimits


@dataclass(frozen=True)
class Confirmation:
    """Tumors that count in a method with a refiner.

    Attributes:
        min_share: Share of a tumor's voxels that the refiner has to call tumor, too.
    """

    min_share: float

    def __post_init__(self) -> None:
        """Refuses what is no share."""
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"expected min_share from 0 to 1, got {self.min_share}")


@dataclass(frozen=True)
class Outline:
    """Where the kidneys end.

    Attributes:
        weight: Of the last stage's outline; the rest is that of the mask which it was given.
    """

    weight: float

    def __post_init__(self) -> None:
        """Refuses what is no share."""
        if not 0 <= self.weight <= 1:
            raise ValueError(f"expected weight from 0 to 1, got {self.weight}")


@dataclass(frozen=True)
class EnsembleLimits:
    """Lesions that count in an ensemble of methods.

    Attributes:
        probability: What the mean of their probabilities exceeds.
        min_lesion_mm3: Smaller ones count as kidney.
    """

    probability: float
    min_lesion_mm3: float

    def __post_init__(self) -> None:
        """Refuses what is no probability."""
        if not 0 < self.probability < 1:
            raise ValueError(f"expected a probability between 0 and 1, got {self.probability}")


@dataclass(frozen=True)
class Sides:
    """Assignment of kidneys to left and right.

    Attributes:
        body_hu: HU above which a voxel belongs to the patient.
        body_step: The midline is taken from every so many voxels along each axis.
        whole_share: A component with this share of its kidney on one side belongs there as a whole.
    """

    body_hu: float
    body_step: int
    whole_share: float

    def __post_init__(self) -> None:
        """Refuses a step that goes nowhere, and what is no larger part."""
        if self.body_step < 1:
            raise ValueError(f"expected body_step from 1, got {self.body_step}")
        if not 0.5 <= self.whole_share <= 1:
            raise ValueError(f"expected whole_share from 0.5 to 1, got {self.whole_share}")


@dataclass(frozen=True)
class ReviewLimits:
    """Below what a lesion is named for review.

    Attributes:
        probability: That it is real, where the method was calibrated.
        agreement_percent: Of it that other networks of the method call a lesion, too.
    """

    probability: float
    agreement_percent: float


@dataclass(frozen=True)
class Numbers:
    """All numbers of a method's file, by section.

    A number, a text, or a list of either is a value; lists become tuples.
    """

    confirmation: Confirmation
    outline: Outline
    ensemble: EnsembleLimits
    sides: Sides
    plausibility: Plausibility
    review: ReviewLimits

    @property
    def text(self) -> str:
        """All names and values in one line, for fingerprints."""
        return json.dumps(asdict(self), sort_keys=True)
