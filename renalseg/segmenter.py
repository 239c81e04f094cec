"""The Python call: segments a CT from anywhere, and gives what was found as arrays and rows."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from renalseg import pipeline
from renalseg.errors import ConfigError, InputError
from renalseg.findings.findings import Findings
from renalseg.geometry import Array
from renalseg.inference.models import Models
from renalseg.intake.ct import CT
from renalseg.intake.folders import AnyStudy
from renalseg.intake.volumes import VolumesOutcome, plan_given
from renalseg.output.label_maps import label_map, to_source
from renalseg.output.lesion_table import Row, find_rows
from renalseg.output.objects import note
from renalseg.output.place import Place
from renalseg.output.result import Result
from renalseg.output.study import StudyResult
from renalseg.runtime.progress import bar_wanted
from renalseg.settings import Settings
from renalseg.volumes.given import of_given


class Step(NamedTuple):
    """How far a call is.

    Attributes:
        study: StudyInstanceUID, or the name of the volume.
        stage: The stage that begins, a key of `renalseg.pipeline.STAGES`; "" at the end.
        done: Number of stages of this study that are done.
        total: Number of stages of a study.
    """

    study: str
    stage: str
    done: int
    total: int


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class Shown:
    """A picture, which a notebook shows.

    Attributes:
        png: The file.
    """

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> None:
        """Saves it as a PNG file."""
        Path(path).write_bytes(self.png)


@dataclass(frozen=True, eq=False)
class Segmentation(Result):
    """What a call found and wrote.

    Attributes:
        ct: The CT, where there was one study.
        findings: What was found in it.
    """

    ct: CT | None = None
    findings: Findings | None = None

    @property
    def label(self) -> npt.NDArray[np.uint8]:
        """The label map (X, Y, Z) on the grid of the input: 1 kidney, 2 tumor, 3 cyst.

        Raises:
            InputError: There were several studies, or none was segmented.
        """
        ct, findings = self._only
        return to_source(ct, label_map(findings.segmented, findings.segments))[0]

    @property
    def affine(self) -> Array:
        """The affine (4, 4) of `label`, from voxel centers to RAS mm.

        Raises:
            InputError: There were several studies, or none was segmented.
        """
        ct, findings = self._only
        return to_source(ct, findings.segmented)[1]

    @property
    def lesions(self) -> list[Row]:
        """A row for each kidney, tumor and cyst, see `renalseg.output.lesion_table`."""
        return find_rows(self.content())

    def show(self) -> Shown:
        """Gives a picture: planes through kidneys and tumors, and what the result says.

        Raises:
            InputError: There were several studies, or none was segmented.
        """
        from renalseg.report.overlay import Picture, make_picture
        from renalseg.report.text import defaults

        ct, findings = self._only
        (study,) = self.studies
        picture = Picture(
            ct, findings.segmented, study.segments, study.statements, note(self.settings)
        )
        file = io.BytesIO()
        with defaults():
            make_picture(picture).figure.savefig(file, format="png")
        return Shown(file.getvalue())

    @property
    def _only(self) -> tuple[CT, Findings]:
        if self.ct is None or self.findings is None:
            raise InputError(
                f"expected the result of one study, found {len(self.studies)}: segment one after "
                "the other with renalseg.Segmenter, or read the files that were written"
            )
        return self.ct, self.findings


class Segmenter:
    """Segments CTs one after another, and keeps the models between calls.

    As a context manager it ends what it compiles in the background.

    >>> import renalseg
    >>> with renalseg.Segmenter(device="cpu") as segmenter:
    ...     result = segmenter("ct.nii.gz")
    >>> result.label.dtype, result.affine.shape
    (dtype('uint8'), (4, 4))
    >>> [(row["segment"], row["kind"]) for row in result.lesions]
    [('Left kidney', 'kidney'), ('Right kidney', 'kidney'), ('Left kidney tumor 1', 'tumor')]
    >>> result.show().save("result.png")

    Args:
        progress: Called as each stage of a study begins, and at the end.
        choices: The other arguments of `renalseg.segment`, such as ``method`` and ``device``.

    Raises:
        ConfigError: A method, bundle, device or name to set does not exist.
    """

    def __init__(self, *, progress: Progress | None = None, **choices: Any) -> None:
        self._settings = Settings.resolve(**choices)
        self._asks_for_files = choices.get("outputs") is not None
        self._progress = progress
        self._models = Models(self._settings.choice, progress=bar_wanted())

    def __enter__(self) -> Segmenter:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends what is being compiled."""
        self.close()

    def close(self) -> None:
        """Ends what is being compiled; nothing can be segmented any more."""
        self._models.__exit__()

    def __call__(
        self,
        source: Any,
        out_dir: str | Path | None = None,
        *,
        affine: npt.ArrayLike | None = None,
        name: str = "volume",
    ) -> Segmentation:
        """Segments the kidneys and their tumors; arguments as `renalseg.segment` has them."""
        settings = self._settings
        out = None if out_dir is None else Path(out_dir)
        if out is None:
            if self._asks_for_files:
                raise ConfigError("Expected out_dir where outputs are asked for, got none")
            settings = replace(settings, outputs=())
        last: dict[str, Any] = {}

        def segment(study: AnyStudy, place: Place) -> StudyResult:
            last.clear()  # of several studies none is kept
            ct, _, _, findings, result = self._stages(study, place, settings)
            last.update(ct=ct, findings=findings)
            return cast(StudyResult, result)

        if isinstance(source, (str, os.PathLike)):
            if affine is not None:
                raise InputError(
                    "expected no affine beside a path, found one: files have their own"
                )
            result = pipeline.run(Path(source), out, self._models, settings, segment)
        else:
            folder = VolumesOutcome(plan_given(of_given(source, affine), name))
            pipeline.warn_of_weak(settings)
            result = pipeline.segment_folder(folder, out, settings, segment)
        return Segmentation(**vars(result), **(last if len(result.studies) == 1 else {}))

    def _stages(self, study: AnyStudy, place: Place, settings: Settings) -> tuple[Any, ...]:
        """What all stages of a study make, and says how far they are."""
        total = len(pipeline.STAGES)

        def tell(stage: str, done: int) -> None:
            if self._progress is not None:
                self._progress(Step(study.plan.study, stage, done, total))

        def read(study: AnyStudy, timings: dict[str, float]) -> CT:
            tell("read", 0)
            return pipeline.load_study(study, timings)

        @contextmanager
        def watch(stage: str, timings: dict[str, float]) -> Iterator[None]:
            tell(stage, list(pipeline.STAGES).index(stage))
            with pipeline.stage(stage, timings):
                yield

        made = pipeline.stages(study, place, self._models, settings, read=read, watch=watch)
        all_made = tuple(made)
        tell("", total)
        return all_made
