"""Unique identifiers that derive from what they identify, so a rerun gives the same objects."""

from __future__ import annotations

import hashlib
import re
import uuid

from pydicom.uid import UID

MAX_LENGTH = 64
# Components with leading zeros are wrong (PS3.5, 9.1) and common in what anonymizers write. They
# do no harm, so they pass. [0-9] and not \d, which other scripts' digits match.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Say whether a text is a UID: digits and dots, 64 characters at most (DICOM PS3.5, 9.1).

    Args:
        text: A value without padding. Leading zeros of a component are let pass.
    """
    return len(text) <= MAX_LENGTH and _UID.fullmatch(text) is not None


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
