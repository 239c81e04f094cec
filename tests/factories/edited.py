"""Segmentations as viewers store them after a person edited ours.

The shapes are those that the programs document: OHIF (cornerstone's adapter and dcmjs) writes
"Segment 1" and so on with the code of tissue in SRT, MANUAL, without tracking and anatomic region,
and the frames that hold something, by segment; 3D Slicer (dcmqi) keeps names and codes if the
segmentation had them, drops tracking, and may hold overlapping segments and frames in any order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

Masks = Mapping[int, npt.NDArray[np.bool_]]


def masks_of(seg: Dataset) -> dict[int, npt.NDArray[np.bool_]]:
    """The masks (S, rows, columns) of a binary SEG, by segment number; S are its own planes."""
    heights = planes_of(seg)
    masks = {int(item.SegmentNumber): np.zeros((len(heights), seg.Rows, seg.Columns), bool)
             for item in seg.SegmentSequence}  # fmt: skip
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        masks[number][heights.index(_place(group))] = frame > 0
    return masks


def planes_of(seg: Dataset) -> list[tuple[float, ...]]:
    """Where the planes of a SEG lie, in order."""
    return sorted({_place(group) for group in seg.PerFrameFunctionalGroupsSequence})


def _place(group: Dataset) -> tuple[float, ...]:
    x, y, z = (float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient)
    return (z, y, x)


def write_edited(source: Path, path: Path, masks: Masks, program: str) -> str:
    """Writes a SEG as a viewer does.

    Args:
        source: Our SEG, which was edited.
        path: The new file.
        masks: Masks (S, rows, columns) on the planes of the source, by the number that they get.
        program: "ohif" or "slicer".

    Returns:
        Its SOPInstanceUID.
    """
    seg = pydicom.dcmread(source)
    heights = planes_of(seg)
    groups = {_place(group): group for group in seg.PerFrameFunctionalGroupsSequence}
    frames, new = [], []
    for number, mask in masks.items():
        levels = [level for level in range(len(heights)) if mask[level].any()]
        for level in levels if program == "ohif" else levels[::-1]:
            group = copy.deepcopy(groups[heights[level]])
            identification = Dataset()
            identification.ReferencedSegmentNumber = number
            group.SegmentIdentificationSequence = [identification]
            new.append(group)
            frames.append(mask[level])
    ours = list(seg.SegmentSequence)
    seg.SegmentSequence = [_segment(number, ours, program) for number in masks]
    seg.PerFrameFunctionalGroupsSequence = new
    seg.NumberOfFrames = len(frames)
    bits = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    seg.PixelData = bits + b"\0" * (len(bits) % 2)
    seg.SOPInstanceUID = generate_uid()
    seg.file_meta.MediaStorageSOPInstanceUID = seg.SOPInstanceUID
    seg.SeriesInstanceUID = generate_uid()
    seg.Manufacturer = "dcmjs" if program == "ohif" else "QIICR"
    seg.save_as(path)
    return str(seg.SOPInstanceUID)


def _segment(number: int, ours: list[Dataset], program: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber = number
    item.SegmentAlgorithmType = "MANUAL"
    if program == "ohif":
        item.SegmentLabel = f"Segment {number}"
        for keyword in ("Category", "Type"):
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator = "T-D0050", "SRT"
            code.CodeMeaning = "Tissue"
            setattr(item, f"SegmentedProperty{keyword}CodeSequence", [code])
        return item
    old = ours[(number - 1) % len(ours)]
    item.SegmentLabel = old.SegmentLabel
    for keyword in ("Category", "Type"):
        name = f"SegmentedProperty{keyword}CodeSequence"
        setattr(item, name, getattr(old, name))
    return item
