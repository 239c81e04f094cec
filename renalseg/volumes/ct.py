"""A CT in memory that came as a volume, checked as a series of DICOM files is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import SpaceKeys

from renalseg.errors import InputError
from renalseg.geometry import Array, spacing_of
from renalseg.volumes.files import suffix_of
from renalseg.volumes.hounsfield import (
    AIR_HU,
    SAMPLED_SIDE,
    SAMPLED_SLICES,
    expected_hu,
    fault_of,
    has_all,
)
from renalseg.volumes.size_limits import check_free
from renalseg.volumes.stored import Stored, Values
from renalseg.volumes.turn import Turn

MIN_VALIDATED_SLICES = 20
MAX_VALIDATED_STEP_MM = 5.0
_SHIFTS = (-1024.0, 1024.0)  # an intercept that was left out, or counted twice


@dataclass(frozen=True, eq=False)
class CTVolume:
    """A CT that came as a volume.

    Attributes:
        name: Of its case, in results and in the names of files.
        image: HU (1, X, Y, Z) float32 with a float64 voxel-to-world affine in RAS mm; turned, see
            `renalseg.volumes.turn`.
        turn: From the volume as it is stored to the image.
        input_hash: SHA-256 over shape, affine and HU, independent of the file and its format.
        warnings: What is unusual about the input but was processed, for people.
        file: Name of its file; "" if it came from memory.
    """

    name: str
    image: MetaTensor
    turn: Turn
    input_hash: str
    warnings: tuple[str, ...] = ()
    file: str = ""

    @property
    def suffix(self) -> str:
        """Suffix of its file, in small letters; "" if it came from memory."""
        return suffix_of(PurePath(self.file)).lower()

    @property
    def slices(self) -> int:
        """Number of slices, which are the planes across the axis nearest to S."""
        return int(self.image.shape[3])


def read_ct(stored: Stored, name: str, file: str = "") -> CTVolume:
    """Reads a volume and checks that it is a CT in HU.

    Args:
        stored: The opened volume.
        name: Of its case.
        file: Name of its file.

    Raises:
        InputError: It is damaged or none.
        RetryableError: If memory ran out.
    """
    stored.check()
    check_free(stored.shape)
    turn = Turn(stored.affine, stored.shape)
    # In memory slice by slice, as a series is.
    hu = np.asfortranarray(turn.forth(stored.values()), dtype=np.float32)
    if not np.isfinite(hu).all():
        share = 100 * float((~np.isfinite(hu)).mean())
        raise InputError(
            f"expected a number in each voxel, found {share:.2g} % that are NaN or infinite in "
            f"{stored.where}: set what lies outside of the scan to -1024"
        )
    affine = turn.turned_affine
    warnings = [*_to_hu(hu, stored.where), *_range_warnings(hu.shape[2], affine)]
    np.maximum(hu, AIR_HU, out=hu)
    digest = hashlib.sha256(repr((stored.shape, stored.affine.tolist())).encode())
    digest.update(hu.T.data)  # its order in memory: no copy
    image = MetaTensor(
        torch.from_numpy(hu)[None], affine=torch.from_numpy(affine), meta={"space": SpaceKeys.RAS}
    )
    return CTVolume(name, image, turn, digest.hexdigest(), tuple(warnings), file)


def _to_hu(hu: Values, where: str) -> list[str]:
    """Checks some slices; undoes a shift, in place, where it is certain, and says so."""
    found = _sampled(hu)
    fault = fault_of(found)
    if fault is None:
        return []
    for shift in _SHIFTS:
        if fault_of(found + shift) is None and has_all(found + shift):
            hu += np.float32(shift)
            return [f"the volume is not in HU as stored: its values were shifted by {shift:+g}"]
    raise InputError(f"{expected_hu(found, fault)} ({where})")


def _sampled(hu: Values) -> Array:
    """Values of some slices (N,), as many as are looked at in a series."""
    columns, rows, total = hu.shape
    places = np.linspace(0, total - 1, min(SAMPLED_SLICES, total) + 2)[1:-1]
    across, down = (max(1, side // SAMPLED_SIDE) for side in (columns, rows))
    slices = hu[::across, ::down, np.rint(places).astype(int)]
    return slices.ravel().astype(np.float64)


def _range_warnings(slices: int, affine: Array) -> list[str]:
    step = float(spacing_of(affine)[2])
    said = []
    if slices < MIN_VALIDATED_SLICES:
        said.append(
            f"{slices} slices are outside the validated range (at least {MIN_VALIDATED_SLICES})"
        )
    if round(step, 3) > MAX_VALIDATED_STEP_MM:
        said.append(
            f"slices {step:.2f} mm apart are outside the validated range "
            f"(at most {MAX_VALIDATED_STEP_MM:g} mm)"
        )
    return said
