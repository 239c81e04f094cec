"""Real cases as memory-mapped arrays: a patch reads only the voxels that it needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.components import Box, Mask, around, bounding_box, components, grow_box
from renalseg.data.case_lists import LabeledCase
from renalseg.data.volumes import (
    LABELS,
    open_pair,
    orientation_of,
    read_hu,
    read_label,
    to_ras,
    unknown_labels,
)
from renalseg.errors import InputError
from renalseg.evaluation.lesions import MIN_LESION_MM3
from renalseg.labels import KIDNEY, TUMOR
from renalseg.runtime.progress import steps
from renalseg.runtime.staging import remove_abandoned, staging
from renalseg.synthesis.patient import kidney_boxes, landmarks_of
from renalseg.synthesis.tissues import Tissue

IMAGE, LABEL, FACTS = "image.npy", "label.npy", "facts.npz"
CYST = 3

_VERSION = 2  # of what is stored
_BODY_HU = -300
_COARSE_MM = 5.0  # the body is found on a grid of about this spacing
_MARGIN_MM = 5.0
_UNDER_SKIN_MM = 25.0
_POINTS_PER_TUMOR = 500
_MIN_KIDNEY_ML = 10.0  # smaller components are fragments of a kidney


def prepare_all(cases: Sequence[LabeledCase], cache: Path, jobs: int | None = None) -> list[Path]:
    """Converts cases in parallel and reports progress; see `prepare`.

    Args:
        cases: The files of each.
        cache: Where the folders of the cases go.
        jobs: Number of parallel conversions, each up to 2 GB of memory; None uses up to four
        processors.
    """
    remove_abandoned(cache)
    done = 0
    lock = threading.Lock()

    def one(case: LabeledCase) -> Path:
        nonlocal done
        folder = prepare(case, cache)
        with lock:
            done += 1
            update(done, len(cases))
        return folder

    jobs = jobs or min(4, os.cpu_count() or 1)
    with steps("case") as update, ThreadPoolExecutor(jobs, "prepare") as pool:
        try:
            return list(pool.map(one, cases))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def prepare(case: LabeledCase, cache: Path) -> Path:
    """Converts a case once: axes R, A, S, cropped to the body, uncompressed.

    Args:
        case: The files of the case.
        cache: Gets a folder for the case, complete or not at all, even if other processes do the
            same: image.npy (X, Y, Z) int16 HU, label.npy uint8, and facts.npz with `spacing`,
            `kidneys` (n, 3, 2), `tumors_ml` (n,) and the landmarks of each tissue.

    Returns:
        The folder of the case; an existing one is kept while the files are unchanged.

    Raises:
        InputError: A file cannot be read, image and label do not match, or the label has values
            other than 0 to 3.
    """
    folder = cache / _folder_name(case, cache)
    state = _state_of(case)
    if _is_current(folder, state):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with staging(cache) as partial:
        image, label, spacing = _load(case)
        np.save(partial.files / IMAGE, image)
        np.save(partial.files / LABEL, label)
        facts = _facts(image, label, spacing)
        np.savez(partial.files / FACTS, state=state, spacing=spacing, **facts)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.files.rename(folder)
        except OSError:
            if not _is_current(folder, state):  # otherwise another process was faster
                raise
    return folder


def _folder_name(case: LabeledCase, cache: Path) -> str:
    """The name of a case and a hash of its path, because files in lists may share names."""
    place = os.path.relpath(case.image, cache)
    stem = "".join(c if c.isalnum() else "_" for c in case.name.removesuffix(".nii.gz"))
    return f"{stem[-40:]}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _state_of(case: LabeledCase) -> npt.NDArray[np.int64]:
    """Identifies the current state of the files of a case."""
    stats = [path.stat() for path in (case.image, case.label)]
    return np.array([_VERSION, *(n for s in stats for n in (s.st_size, s.st_mtime_ns))], np.int64)


def _is_current(folder: Path, state: npt.NDArray[np.int64]) -> bool:
    try:
        with np.load(folder / FACTS) as facts:
            return np.array_equal(facts["state"], state)
    except (OSError, KeyError, ValueError):
        return False


def _load(
    case: LabeledCase,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    header, _ = open_pair(case)
    orientation = orientation_of(header)
    spacing = np.linalg.norm(header.affine[:3, :3], axis=0)[np.argsort(orientation[:, 0])]
    label = to_ras(read_label(case.label), orientation)
    if unknown := unknown_labels(label):
        raise InputError(f"Expected labels {LABELS} in {case.label}, found {unknown}")
    image = to_ras(read_hu(case.image), orientation)
    box = _body_box(image, label, spacing)
    return np.ascontiguousarray(image[box]), np.ascontiguousarray(label[box]), spacing


def _body_box(image: npt.NDArray[Any], label: npt.NDArray[Any], spacing: npt.NDArray[Any]) -> Box:
    """The box of the body and of everything labeled, in voxels."""
    body, steps = _body(image, spacing)
    boxes: list[Box] = []
    if (coarse := bounding_box(body)) is not None:
        x, y, z = (slice(p.start * n, p.stop * n) for p, n in zip(coarse, steps, strict=True))
        boxes.append((x, y, z))
    if (labeled := bounding_box(label)) is not None:
        boxes.append(labeled)
    if not boxes:
        raise InputError("Expected a body in the image, found nothing above -300 HU")
    return grow_box(around(boxes), _MARGIN_MM / spacing, image.shape)


def _body(image: npt.NDArray[Any], spacing: npt.NDArray[Any]) -> tuple[Mask, tuple[int, ...]]:
    """The body on a coarse grid, filled slice by slice, and the stride of that grid in voxels."""
    steps = tuple(max(1, round(_COARSE_MM / float(mm))) for mm in spacing)
    coarse = image[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    body: Mask = components(coarse)[0] == 1
    for z in range(body.shape[2]):
        body[:, :, z] = ndimage.binary_fill_holes(body[:, :, z])
    return body, steps


def _facts(
    image: npt.NDArray[Any], label: npt.NDArray[Any], spacing: npt.NDArray[Any]
) -> dict[str, Any]:
    min_voxels = int(_MIN_KIDNEY_ML * 1000 / spacing.prod())
    boxes = kidney_boxes(label > 0, max(1, min_voxels))
    points = landmarks_of({Tissue.KIDNEY: label == KIDNEY, Tissue.CYST: label == CYST})
    facts = {tissue.name: voxels.numpy() for tissue, voxels in points.items()}
    tumors, facts["tumors_ml"] = _tumors(label == TUMOR, spacing)
    if len(tumors):
        facts[Tissue.TUMOR.name] = tumors
    facts[Tissue.VISCERAL.name] = _inner_points(image, spacing)
    facts["kidneys"] = np.array([[(p.start, p.stop) for p in b] for b in boxes]).reshape(-1, 3, 2)
    return facts


def _tumors(
    mask: Mask, spacing: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Voxels of tumors, (n, 3), as many of a small one as of a large one, and each volume, ml."""
    box = bounding_box(mask)
    if box is None:
        return np.zeros((0, 3), np.int64), np.zeros(0)
    numbered, sizes = components(mask[box])
    ml = sizes * spacing.prod() / 1000
    whole = np.flatnonzero(1000 * ml >= MIN_LESION_MM3)
    if not len(whole):  # all are specks
        whole = np.arange(len(sizes))
    points = []
    for number in whole:
        voxels = np.argwhere(numbered == number + 1)
        chosen = np.linspace(0, len(voxels) - 1, _POINTS_PER_TUMOR).round().astype(int)
        points.append(voxels[chosen] + [part.start for part in box])
    return np.concatenate(points), ml[whole]


def _inner_points(image: npt.NDArray[Any], spacing: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Some voxels, (n, 3), in or between the organs, well below the skin."""
    body, steps = _body(image, spacing)
    sampling = spacing * steps
    # the first and last slice cut the body; they are not skin
    padded = np.pad(body, ((1, 1), (1, 1), (0, 0)))
    depth = ndimage.distance_transform_edt(padded, sampling=[*sampling[:2], 1e6])[1:-1, 1:-1]
    deep = depth > min(_UNDER_SKIN_MM, float(depth.max()) / 2)
    inner = deep if deep.any() else np.ones_like(body)
    points = landmarks_of({Tissue.VISCERAL: inner})[Tissue.VISCERAL].numpy()
    return np.asarray(points * np.array(steps))
