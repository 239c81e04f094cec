"""The first step of a bundle's preprocessing: from what a program gives to a case."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.errors import InputError
from renalseg.inference.bundle import make_case
from renalseg.volumes.tensors import load_volume

IMAGE, KIDNEY = "image", "kidney"
_TYPES = {IMAGE: torch.float32, KIDNEY: torch.uint8}


class LoadCased(MapTransform):
    """Loads the volumes of a case, as programs that are not RenalSeg give them.

    A case that RenalSeg made goes through unchanged. Otherwise each key may hold the path of a
    volume (NIfTI, NRRD, MetaImage), or a MetaTensor (1, X, Y, Z) or (X, Y, Z) with an affine in
    RAS mm.

    Args:
        keys: "image", and of a tumor bundle "kidney", a localizer's mask on the same grid.

    Raises:
        InputError: A volume is missing, cannot be read, or is of another kind, or the grids differ.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case, with its source grid."""
        if "source" in data:
            return dict(data)
        loaded = {str(key): _volume(str(key), data.get(key)) for key in self.keys}
        try:
            case = make_case(loaded[IMAGE], loaded.get(KIDNEY))
        except ValueError as error:
            raise InputError(str(error)) from error
        return {**data, **{str(key): value for key, value in case.items()}}


def _volume(key: str, given: Any) -> MetaTensor:
    if isinstance(given, (str, Path)):
        volume = load_volume(Path(given), _TYPES[key])
        volume.meta |= {
            "filename_or_obj": str(given),
            "original_affine": volume.affine,
            "spatial_shape": torch.tensor(volume.shape[1:]),
        }
        return volume
    if not isinstance(given, MetaTensor) or given.ndim not in (3, 4):
        raise InputError(
            f"Expected the path of a volume or a MetaTensor (1, X, Y, Z) as {key!r}, got "
            f"{_called(given)}"
        )
    values = given.as_tensor().to(_TYPES[key])
    values = values if values.ndim == 4 else values[None]
    return MetaTensor(values, affine=given.affine, meta=given.meta)


def _called(given: Any) -> str:
    shape = getattr(given, "shape", None)
    return type(given).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
