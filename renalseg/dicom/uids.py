"""Unique identifiers that derive from what they identify, so a rerun gives the same objects."""

from __future__ import annotations

import hashlib
import uuid

from pydicom.uid import UID


def derive_uid(*parts: str) -> UID:
    """Derive a UID from texts: the same texts give the same UID, other texts another one.

    Args:
        parts: What the UID stands for, such as the input's hash, the software version and the kind
            of object.

    Returns:
        A UID under the UUID root 2.25 (DICOM PS3.5, B.2).
    """
    # Lengths keep ("ab", "c") apart from ("a", "bc").
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.sha256(text.encode()).digest()
    return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")
