"""Labeled CTs to measure on: the user's own, and synthetic ones drawn for the purpose."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from monai.data import MetaTensor

from renalseg.cases import load_case, load_nifti, name_of
from renalseg.errors import ConfigError, InputError
from renalseg.evaluation.overlap import check_grids
from renalseg.labels import KIDNEY, TUMOR
from renalseg.synthesis.sample import write_sample

_LABEL = re.compile(r"(?P<path>.+?)(:(?P<kidney>\d+(,\d+)*)(:(?P<tumor>\d+(,\d+)*))?)?")


@dataclass(frozen=True)
class ScoredCase:
    """A CT and its label map, on disk.

    Attributes:
        name: For tables.
        ct: NIfTI file or folder with a DICOM series.
        label: NIfTI file on the grid of the CT.
        kidney: Values in it that are kidney.
        tumor: Values that are tumor; none if tumors are not labeled.
    """

    name: str
    ct: Path
    label: Path
    kidney: frozenset[int] = frozenset({KIDNEY})
    tumor: frozenset[int] = frozenset({TUMOR})

    @classmethod
    def parse(cls, ct: str, label: str) -> ScoredCase:
        """A case from two arguments of the command line.

        Args:
            ct: Path.
            label: ``PATH``, with 1 kidney and 2 tumor; ``PATH:2,3`` with the values that are
                kidney; or ``PATH:2,3:9`` with those that are tumor as well.

        Raises:
            ConfigError: There is no such file.
        """
        found = _LABEL.fullmatch(label)
        if found is None or not Path(found["path"]).is_file() or not Path(ct).exists():
            raise ConfigError(
                "Expected a CT and a label PATH, PATH:KIDNEY or PATH:KIDNEY:TUMOR with values as "
                f"in 2,3 that exist, got {ct!r} and {label!r}"
            )
        path = Path(ct).resolve()
        name = f"{path.parent.name}/{name_of(path)}"
        if found["kidney"] is None:
            return cls(name, path, Path(label))
        kidney, tumor = (_values(found[key]) for key in ("kidney", "tumor"))
        return cls(name, path, Path(found["path"]), kidney, tumor)

    def image(self) -> MetaTensor:
        """HU (1, X, Y, Z) float32."""
        return load_case(self.ct)

    def truth(self, image: MetaTensor) -> MetaTensor:
        """The label map (1, X, Y, Z) uint8: 1 kidney, 2 tumor.

        Args:
            image: The CT, whose grid it must have.

        Raises:
            InputError: It is on another grid, or holds no kidney.
        """
        stored = load_nifti(self.label, torch.int32)
        check_grids(image, stored, "CT and label")
        values = stored.as_tensor()
        truth = torch.zeros(values.shape, dtype=torch.uint8)
        for label, which in ((KIDNEY, self.kidney), (TUMOR, self.tumor)):
            truth[torch.isin(values, torch.tensor(sorted(which), dtype=torch.int32))] = label
        if not truth.any():
            raise InputError(
                f"Expected the values {sorted(self.kidney)} in {self.label}, not there"
            )
        return MetaTensor(truth, affine=image.affine)


@contextmanager
def drawn_cases(count: int, slices: int = 100) -> Iterator[list[ScoredCase]]:
    """Synthetic cases in a temporary folder; their seeds also determine contrast phase and scanner.

    Args:
        count: Seeds 0 to count - 1.
        slices: Of each, 512 x 512 pixels, 2.5 mm apart.
    """
    with tempfile.TemporaryDirectory() as folder:
        cases = []
        for seed in range(count):
            path = Path(folder) / str(seed)
            write_sample(path, seed, slices, varied=True)
            cases.append(ScoredCase(f"sample {seed}", path / "dicom", path / "label.nii.gz"))
        yield cases


def _values(text: str | None) -> frozenset[int]:
    return frozenset(map(int, text.split(","))) if text else frozenset()
