"""What is planned for volumes, each of which is a study, and what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from renalseg.dicom.read.accounts import (
    PROCESSED,
    REFUSED,
    FileAccount,
    SeriesAccount,
    names_by_reason,
)
from renalseg.dicom.read.files import Listing
from renalseg.errors import InputError
from renalseg.runtime.harmless import one_line
from renalseg.volumes.files import (
    KITS_IMAGE,
    KITS_LABEL,
    is_volume,
    open_volume,
    stem_of,
    suffix_of,
)
from renalseg.volumes.stored import Stored
from renalseg.volumes.turn import Turn

_NO_VOLUME, _LABEL = "no volume", "label of KiTS"
_LONGEST = 180  # bytes of a name; the names of files hold it and more


@dataclass(frozen=True, eq=False)
class VolumePlan:
    """What is planned for one volume.

    Attributes:
        study: Name of its case.
        stored: The opened volume; None if it cannot be opened.
        path: Its file; None if it is in memory.
        reason: Why it cannot be processed; None if nothing is known against it.
    """

    study: str
    stored: Stored | None = None
    path: Path | None = None
    reason: str | None = None

    @property
    def file(self) -> str:
        """Name of its file; "" if it is in memory."""
        return "" if self.path is None else one_line(self.path.name)

    @property
    def suffix(self) -> str:
        """Suffix of its file, in small letters; "" if it is in memory."""
        return "" if self.path is None else suffix_of(self.path).lower()

    def to_read(self) -> Stored:
        """Return the opened volume.

        Raises:
            InputError: It cannot be processed.
        """
        if self.stored is None or self.reason is not None:
            raise InputError(str(self.reason))
        return self.stored

    def account(self) -> SeriesAccount:
        """Return its account, as far as it is known."""
        slices = 0
        if self.reason is None and self.stored is not None:
            slices = len(Turn(self.stored.affine, self.stored.shape).stored_slices())
        status = PROCESSED if self.reason is None else REFUSED
        return SeriesAccount(self.study, self.file, slices, status, self.reason)


@dataclass(frozen=True, eq=False)
class VolumesPlan:
    """The plan for a folder of volumes.

    Attributes:
        studies: The volumes, in the order of their paths.
        folder: The folder; None if they are in memory.
        skipped: Every other file, with its kind.
        refused: Every path that cannot be read, with the reason.
        digest: Of the names and sizes of all files, see `renalseg.dicom.read.files.list_files`.
        warnings: Of volumes there are none that concern all.
    """

    studies: tuple[VolumePlan, ...]
    folder: Path | None = None
    skipped: tuple[tuple[Path, str], ...] = ()
    refused: tuple[tuple[Path, str], ...] = ()
    digest: str = ""
    warnings: tuple[str, ...] = ()

    def lies_in(self, folder: Path) -> bool:
        """Return whether one of the volumes lies in a folder, where a result would replace it."""
        place = folder.resolve()
        return any(each.path and each.path.resolve().parent == place for each in self.studies)

    def series(self) -> tuple[SeriesAccount, ...]:
        """Return the account of each volume, as far as it is known."""
        return tuple(study.account() for study in self.studies)

    def files(self) -> FileAccount:
        """Return the account of each file, as far as it is known."""
        own = [(each.path, each.reason) for each in self.studies if each.path is not None]
        faults = [(path, reason) for path, reason in own if reason is not None]
        return FileAccount(
            len(own) - len(faults),
            names_by_reason(self.skipped, self.folder),
            names_by_reason((*self.refused, *faults), self.folder),
            self.digest,
        )


@dataclass(eq=False)
class VolumeOutcome:
    """What came of a volume so far.

    Attributes:
        plan: What was planned for it.
        left: The plan, with the reason if it proved unusable.
    """

    plan: VolumePlan
    left: VolumePlan = field(init=False)

    def __post_init__(self) -> None:
        """Nothing has come of it yet."""
        self.left = self.plan

    def refuse(self, reason: str) -> None:
        """Give it up."""
        self.left = replace(self.left, reason=self.left.reason or reason)


class VolumesOutcome:
    """What came of a folder of volumes so far.

    Attributes:
        plan: What was planned.
        studies: What came of each volume, in the order of the plan.
    """

    def __init__(self, plan: VolumesPlan) -> None:
        self.plan = plan
        self.studies = tuple(map(VolumeOutcome, plan.studies))

    @property
    def left(self) -> VolumesPlan:
        """Return the plan as its volumes have left it, from which files are accounted."""
        return replace(self.plan, studies=tuple(study.left for study in self.studies))


def plan_volumes(folder: Path, listing: Listing, called: str) -> VolumesPlan:
    """Open the volumes of a folder, and name their cases.

    Args:
        folder: The folder, or a single file.
        listing: What it holds.
        called: What the folder is called, in case one of its files has no name of its own.
    """
    root = folder if folder.is_dir() else folder.parent
    labels = {path for path in listing.files if _is_kits_label(path)}
    paths = [path for path in listing.files if is_volume(path) and path not in labels]
    names: set[str] = set()
    studies = []
    for path in paths:
        name = one_line(_name(path.relative_to(root), called if folder.is_dir() else root.name))
        studies.append(_plan(name, path, taken=name in names))
        names.add(name)
    others = (path for path in listing.files if path not in paths)
    skipped = [(path, _LABEL if path in labels else _NO_VOLUME) for path in others]
    return VolumesPlan(
        tuple(studies), root, (*listing.skipped, *skipped), listing.refused, listing.digest
    )


def plan_given(stored: Stored, name: str) -> VolumesPlan:
    """Plan for a volume in memory."""
    return VolumesPlan((_checked(VolumePlan(_short(one_line(name)), stored)),))


def _plan(name: str, path: Path, *, taken: bool) -> VolumePlan:
    plan = VolumePlan(_short(name), path=path)
    if taken:
        return replace(plan, reason=f"expected one volume called {name}, found another: {path}")
    try:
        return _checked(replace(plan, stored=open_volume(path)))
    except InputError as error:
        return replace(plan, reason=str(error))
    except OSError as error:
        return replace(plan, reason=f"cannot read {path}: {error.strerror or error}")


def _checked(plan: VolumePlan) -> VolumePlan:
    try:
        if plan.stored is not None:
            plan.stored.check()
    except InputError as error:
        return replace(plan, reason=str(error))
    return plan


def _is_kits_label(path: Path) -> bool:
    """Say whether a file lies beside the image that it labels, as KiTS has it."""
    if not is_volume(path) or stem_of(path).lower() != KITS_LABEL:
        return False
    return path.with_name(KITS_IMAGE + suffix_of(path)).is_file()


def _name(path: Path, called: str) -> str:
    """The name of a case: its path without the suffix; that of its folder in the layout of KiTS."""
    stem = stem_of(path)
    folders = list(path.parent.parts)
    if stem.lower() == KITS_IMAGE:
        return "-".join(folders) or called or stem
    return "-".join([*folders, stem])


def _short(name: str) -> str:
    """The name, or its beginning where the names of files could not hold it."""
    return os.fsencode(name)[:_LONGEST].decode(errors="ignore")
