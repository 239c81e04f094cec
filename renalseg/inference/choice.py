"""The choice of a run: bundles, the method's numbers, and the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from renalseg.inference.metadata import short_hash
from renalseg.inference.methods import compose_name, default_numbers
from renalseg.inference.references import Reference, parse_reference
from renalseg.limits import Numbers


class Member(NamedTuple):
    """A further method of an ensemble, which looks into the kidneys of the first.

    Attributes:
        refiner: As `Choice` has it.
        tumor: Likewise.
    """

    refiner: str | None
    tumor: str


@dataclass(frozen=True)
class Choice:
    """The choice that determines which voxels a run finds.

    Attributes:
        bundles: Folder with the bundles.
        localizer: Name of the kidney bundle, or a reference to a model from elsewhere, see
            `renalseg.inference.references`.
        tumor: The same of the tumor bundle.
        device: Where the networks run.
        refiner: Name of a tumor bundle that outlines the kidneys again before the tumor bundle
            looks into them, if any.
        name: Of the method, where it has a file; "" where only its stages name it.
        numbers: Of the method, besides those of its bundles.
        networks: The bundles as results name them, with versions and fingerprints.
        overrides: Values set for this run under their full names, see
            `renalseg.inference.overrides`; those of the method stand in `numbers`, too.
        others: The other methods, if it is an ensemble. Their stages are called "refiner_2",
            "tumor_2", and so on.
    """

    bundles: Path
    localizer: str
    tumor: str
    device: torch.device
    refiner: str | None = None
    name: str = ""
    numbers: Numbers = field(default_factory=default_numbers)
    networks: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)
    others: tuple[Member, ...] = ()

    @property
    def references(self) -> dict[str, Reference]:
        """Returns the models in run order, as localizer, refiner and tumor."""
        named = {"localizer": self.localizer, "refiner": self.refiner, "tumor": self.tumor}
        for number, other in enumerate(self.others, start=2):
            named |= {f"{stage}_{number}": text for stage, text in other._asdict().items()}
        return {stage: parse_reference(text, self.bundles) for stage, text in named.items() if text}

    @property
    def members(self) -> tuple[Member, ...]:
        """Returns the names of the stages after the localizer, for each method that runs."""
        ends = ("", *(f"_{number}" for number in range(2, len(self.others) + 2)))
        refiners = (self.refiner, *(other.refiner for other in self.others))
        return tuple(
            Member(f"refiner{end}" if refiner else None, f"tumor{end}")
            for end, refiner in zip(ends, refiners, strict=True)
        )

    @property
    def named_stages(self) -> dict[str, str]:
        """Returns the names of the models, by stage."""
        return {stage: reference.name for stage, reference in self.references.items()}

    @property
    def stages(self) -> tuple[str, ...]:
        """Returns the names of the models, in run order."""
        return tuple(self.named_stages.values())

    @property
    def folders(self) -> tuple[Path, ...]:
        """Returns the folders of the models, in run order."""
        return tuple(reference.folder for reference in self.references.values())

    @property
    def algorithm(self) -> str:
        """Returns the name for results: that of the method's file, or of its stages."""
        if self.name:
            return self.name
        named = self.named_stages
        return compose_name((named["localizer"], named.get("refiner"), named["tumor"]))

    @property
    def software(self) -> tuple[str, ...]:
        """Returns what determines the result, as results name it: the method, then its networks."""
        return (f"{self.algorithm} {short_hash(self.numbers.text)}", *self.networks)

    @property
    def fingerprint(self) -> str:
        """Returns 16 characters for weights, settings and numbers; versions do not count."""
        names = tuple(self.named_stages) if self.others else ()  # who confirms whom
        return short_hash(*(line.split()[-1] for line in self.software), *names)

    def overridden(self, overrides: Mapping[str, Any] | None) -> Choice:
        """Returns this choice with some values of the bundles' configs replaced.

        Args:
            overrides: As `renalseg.inference.models.Models` takes them.
        """
        if not overrides:
            return self
        text = ", ".join(f"{name}={overrides[name]!r}" for name in sorted(overrides))
        return replace(self, networks=(*self.networks, f"overrides {short_hash(text)}"))


def others_of(stages: Mapping[str, str]) -> tuple[Member, ...]:
    """Returns the other methods of an ensemble.

    Args:
        stages: Names of models by stage, as `Choice.named_stages` has them; more may be among them.
    """
    numbers = takewhile(lambda number: f"tumor_{number}" in stages, count(2))
    return tuple(
        Member(stages.get(f"refiner_{number}"), stages[f"tumor_{number}"]) for number in numbers
    )
