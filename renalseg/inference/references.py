"""References to the models of the stages, as options, settings and methods' files write them.

A stage names a bundle of RenalSeg (``kidney_sehdc``) or a model from elsewhere: a model folder of
nnU-Net v2 (``nnunet:PATH``), or a MONAI bundle with any labels (``bundle:PATH``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import ConfigError

NNUNET, BUNDLE = "nnunet", "bundle"
KINDS = (NNUNET, BUNDLE)
"""Kinds of models from elsewhere, which stand before their path."""
_NAME_LENGTH = (
    32  # characters: with version and fingerprint it must fit an LO of DICOM, which has 64
)
_NO_NAME = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Reference:
    """Where the model of a stage lies.

    Attributes:
        kind: One of `KINDS`; "" for a bundle of RenalSeg.
        folder: Its folder.
    """

    kind: str
    folder: Path

    @property
    def name(self) -> str:
        """The name for results, which holds no path."""
        if not self.kind:
            return self.folder.name
        # nnU-Net calls a model after trainer, plans and configuration; above it stands the data set
        folder = self.folder.parent if "__" in self.folder.name else self.folder
        return f"{self.kind}_{_NO_NAME.sub('_', folder.name).strip('_')}"[:_NAME_LENGTH]


def parse_reference(text: str, bundles: Path) -> Reference:
    """Reads a reference.

    Args:
        text: Such as "kidney_sehdc" or "nnunet:PATH", whose path `locate` completed.
        bundles: Folder with the bundles of RenalSeg.
    """
    if is_foreign(text):
        kind, _, path = text.partition(":")
        return Reference(kind, Path(path))
    return Reference("", bundles / text)


def is_foreign(text: str) -> bool:
    """Whether a text refers to a model from elsewhere."""
    return ":" in text and text.partition(":")[0] in KINDS


def locate(text: str, base: Path) -> str:
    """Completes the path of a model from elsewhere; other texts stay as they are.

    Args:
        text: A reference.
        base: Where a relative path starts.

    Raises:
        ConfigError: There is no such folder.
    """
    if not is_foreign(text):
        return text
    kind, _, path = text.partition(":")
    folder = (base / Path(path).expanduser()).resolve()
    if not path or not folder.is_dir():
        raise ConfigError(f"Expected a folder with a model after {kind}:, got {path!r}")
    return f"{kind}:{folder}"
