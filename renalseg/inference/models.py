"""The bundles of a run, compiled in the background."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

from monai.data import MetaTensor

from renalseg.evidence import evidence_of, opinion_of, with_evidence
from renalseg.findings.plausibility.candidates import choose_kidneys
from renalseg.inference.bundle import Bundle
from renalseg.inference.choice import Choice, Member
from renalseg.inference.ensemble import join_methods
from renalseg.inference.foreign.kinds import load_foreign
from renalseg.inference.overrides import of_stage
from renalseg.transforms import BetweenOutlinesd, KeepConfirmedTumorsd


class Stage(Protocol):
    """The model of a stage: a bundle, or one from elsewhere that behaves as one."""

    def prepare(self) -> None:
        """Compiles what it needs, instead of at the first image."""

    def __call__(self, image: MetaTensor, kidney: MetaTensor | None = None) -> MetaTensor:
        """Segments a volume, see `renalseg.inference.bundle.Bundle`."""
        ...


class Models:
    """The bundles of a run, stage by stage; any number of studies can go through them.

    The bundles are read at once. What their engines compile is compiled in the background, so that
    it costs nothing while a study is read; what that raises is raised where a bundle is asked for.
    As a context manager it ends that work early, so that a study that is refused does not wait.

    Args:
        choice: Names and folder of the bundles, the values set in them, and the device.
        overrides: Values for every bundle that has their names in its inference.yaml.
        progress: Whether sliding windows show a progress bar.

    Raises:
        ConfigError: A bundle is missing or broken.
    """

    def __init__(
        self,
        choice: Choice,
        overrides: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        self.choice = choice.overridden(overrides)
        share, weight = choice.numbers.confirmation.min_share, choice.numbers.outline.weight
        self._confirmed = KeepConfirmedTumorsd("pred", other_key="kidney", min_share=share)
        self._outlined = BetweenOutlinesd("pred", other_key="kidney", weight=weight)
        # Not in the background: MONAI looks classes up by a walk through the imported modules,
        # which must not grow meanwhile.
        values = {
            stage: {**(overrides or {}), **of_stage(choice.overrides, stage)}
            for stage in choice.references
        }
        foreign = load_foreign(choice.references, values, choice.device, progress)
        stages: dict[str, Stage] = {
            stage: foreign.get(stage)
            or Bundle(reference.folder, choice.device, progress, values[stage])
            for stage, reference in choice.references.items()
        }
        # one thread: the bundle that is needed first comes first
        self._compiler = ThreadPoolExecutor(1, "models")
        self._stages = {
            name: self._compiler.submit(_prepare, stage) for name, stage in stages.items()
        }

    @property
    def localizer(self) -> Stage:
        """Returns the kidney bundle; waits until it is compiled."""
        return self._stage("localizer")

    @property
    def tumor(self) -> Stage:
        """Returns the tumor bundle, of an ensemble the first; waits until it is compiled."""
        return self._stage("tumor")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Returns all bundles in run order; waits until they are compiled."""
        return tuple(stage.result() for stage in self._stages.values())

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Returns the stages that are bundles of RenalSeg; waits until they are compiled."""
        return tuple(stage for stage in self.stages if isinstance(stage, Bundle))

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        """Finds the kidneys for the last stage: the localizer's mask, or the refiner's labels.

        Args:
            image: HU (1, X, Y, Z).

        Returns:
            (1, X, Y, Z) uint8, 1 = kidney or tumor in it; after a refiner 2 = what it calls tumor.
        """
        return self.refine(image, self.localize(image))

    def localize(self, image: MetaTensor) -> MetaTensor:
        """Finds the kidneys with the localizer: its mask without what cannot be one.

        Args:
            image: HU (1, X, Y, Z).

        Returns:
            (1, X, Y, Z) uint8, 1 = kidney or tumor in it, of at most two kidneys.
        """
        return choose_kidneys(image, self.localizer(image), self.choice.numbers.plausibility)

    def refine(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        """Outlines the kidneys again if the method has a refiner; otherwise returns them unchanged.

        Each method of an ensemble has its own refiner, which runs in `find_tumors`.

        Args:
            image: HU (1, X, Y, Z).
            kidney: The localizer's mask on the same grid.
        """
        if self.choice.others:
            return kidney
        return self._refine(image, kidney, *self.choice.members)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        """Segments the kidneys; a refiner, if any, must confirm the tumors.

        Args:
            image: HU (1, X, Y, Z).
            kidney: Of `find_kidneys`.

        Returns:
            Labels (1, X, Y, Z) uint8 on the same grid, with their `renalseg.evidence`.
        """
        members = self.choice.members
        if not self.choice.others:
            return self._find(image, kidney, *members)
        found = [self._find(image, self._refine(image, kidney, each), each) for each in members]
        return join_methods(found, self.choice.numbers.ensemble)

    def find_unrefined(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        """Segments given kidneys with the tumor stages alone; no refiner outlines or confirms.

        Args:
            image: HU (1, X, Y, Z).
            kidney: (1, X, Y, Z) uint8 on the same grid, 1 = kidney or tumor in it.

        Returns:
            As `find_tumors`.
        """
        found = [self._stage(each.tumor)(image, kidney) for each in self.choice.members]
        return join_methods(found, self.choice.numbers.ensemble) if found[1:] else found[0]

    def _refine(self, image: MetaTensor, kidney: MetaTensor, member: Member) -> MetaTensor:
        return kidney if member.refiner is None else self._stage(member.refiner)(image, kidney)

    def _find(self, image: MetaTensor, kidney: MetaTensor, member: Member) -> MetaTensor:
        """What a tumor stage finds; its refiner, if any, confirms tumors."""
        mask = kidney
        if member.refiner is not None:
            mask = MetaTensor(kidney.as_tensor().clamp(max=1), affine=kidney.affine)
        pred = self._stage(member.tumor)(image, mask)
        evidence = evidence_of(pred)
        found: Mapping[Hashable, Any] = {"pred": pred, "kidney": kidney}
        if member.refiner is not None:
            found = self._confirmed(found)
            if evidence is not None:
                evidence = replace(evidence, opinions=(opinion_of(kidney),))
        return with_evidence(self._outlined(found)["pred"], evidence)

    def _stage(self, name: str) -> Stage:
        return self._stages[name].result()

    def check(self) -> None:
        """Waits for all bundles and raises what one of them raised."""
        for stage in self._stages.values():
            stage.result()

    def __enter__(self) -> Models:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the bundle that is being compiled, and starts no other."""
        self._compiler.shutdown(cancel_futures=True)


def _prepare(stage: Stage) -> Stage:
    stage.prepare()
    return stage
