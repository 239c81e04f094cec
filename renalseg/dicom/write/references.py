"""References of derived objects to the frames of a multi-frame CT.

Frames are handled as slices with a derived SOPInstanceUID (`renalseg.dicom.read.enhanced`), which
names no stored object. Before a
derived object is stored, its references are turned into references to the multi-frame object, with
the numbers of its frames (PS3.3, table 10-3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from renalseg.dicom.tags import SourceFrame

# Lists of the objects that were used, which name no frames.
_LISTS = frozenset({"ReferencedInstanceSequence"})
_EVIDENCE = frozenset(
    {"CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"}
)


def refer_to_frames(derived: Dataset, frames: Mapping[str, SourceFrame]) -> None:
    """Turn references to frames as slices into references to their multi-frame objects.

    References that then name the same object become one, with all its frames.

    Args:
        derived: A derived object of any kind; changed.
        frames: The frames by the SOPInstanceUID that they have as slices; empty where the source
            is of single-frame files, and nothing is to be done.
    """
    if not frames:
        return
    for items, is_list in _sequences(derived):
        merged: dict[str, Dataset] = {}
        kept: list[Dataset] = []
        for item in items:
            frame = frames.get(str(item.get("ReferencedSOPInstanceUID", "")))
            if frame is None:
                kept.append(item)
                continue
            item.ReferencedSOPClassUID = frame.sop_class
            item.ReferencedSOPInstanceUID = frame.uid
            first = merged.setdefault(frame.uid, item)
            if first is item:
                kept.append(item)
                item.ReferencedFrameNumber = frame.number
            else:
                numbers = first.ReferencedFrameNumber
                several = [numbers] if isinstance(numbers, int) else list(numbers)
                first.ReferencedFrameNumber = sorted({*several, frame.number})
        if is_list:
            for item in merged.values():
                del item.ReferencedFrameNumber
        if len(kept) < len(items):
            items[:] = kept


def _sequences(dataset: Dataset, is_list: bool = False) -> Iterator[tuple[Items, bool]]:
    """All sequences in a dataset, the inner ones first, and whether they list objects."""
    for element in dataset:
        if element.VR == "SQ":
            evidence = is_list or element.keyword in _EVIDENCE
            for item in element.value:
                yield from _sequences(item, evidence)
            yield element.value, evidence or element.keyword in _LISTS
