"""Corrected results as training cases, where the site consents: CT and labels, layout of KiTS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from monai.data import MetaTensor

from renalseg.cases import save_nifti
from renalseg.data.case_lists import IMAGE, LABEL, case_folders, case_name, number_of
from renalseg.data.volumes import LOWEST_HU
from renalseg.errors import ConfigError, InputError
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.label_maps import label_map
from renalseg.output.stored import Stored, read_stored
from renalseg.runtime.environment import switched_on
from renalseg.runtime.staging import staging, sync_all

CONSENT = "RENALSEG_KEEP_CORRECTIONS"
INDEX = "corrections.json"
_DIGITS = 16  # of the hash of a CT


class Kept(NamedTuple):
    """What became of a corrected result.

    Attributes:
        case: Name of the case; None where it could not be kept.
        fault: Why it could not be kept.
        new: Whether it was written now.
    """

    case: str | None
    fault: str | None = None
    new: bool = False


def keep_all(root: Path, results: Path, out: Path) -> Iterator[Kept]:
    """Keeps corrected results and their CTs as cases.

    A case holds voxels alone: no name, date or UID of a patient. `INDEX` says which CT a case is
    of by a hash, so that a later correction of the same CT replaces it.

    Args:
        root: Folder with a CT under the name of each result, or the CT of one; only read.
        results: Folder with the results, or one of them; only read. Those that nobody corrected
            are passed over.
        out: Gets `case_00000/imaging.nii.gz` and `segmentation.nii.gz`, and so on.

    Raises:
        ConfigError: The site has not consented.
        InputError: There is no corrected result.
    """
    if not switched_on(CONSENT):
        raise ConfigError(
            f"Expected the consent of the site to keep CTs and corrections for training, found "
            f"none: set {CONSENT}=true"
        )
    single = (results / RESULT_FILE).is_file()
    folders = [results] if single else sorted(p.parent for p in results.glob(f"*/{RESULT_FILE}"))
    found = [(folder, study) for folder in folders for study in _corrected(folder)]
    if not found:
        raise InputError(
            f"Expected corrected results of `renalseg measure` in {results}, found none"
        )
    out.mkdir(parents=True, exist_ok=True)
    for folder, study in found:
        try:
            yield _keep(read_stored(folder, root if single else root / folder.name, study), out)
        except InputError as error:
            yield Kept(None, str(error))


def _corrected(folder: Path) -> list[str]:
    """The studies of a result that a person corrected."""
    studies = read_result(folder)["studies"]
    return [str(entry["study"]) for entry in studies if entry.get("corrected")]


def _keep(stored: Stored, out: Path) -> Kept:
    index = _read_index(out)
    source = str(stored.entry["input_hash"])[:_DIGITS]
    uid = str(stored.entry["corrected"]["seg"])
    correction = hashlib.sha256(uid.encode()).hexdigest()[:_DIGITS]  # UIDs lead to a patient
    known = next((case for case, each in index.items() if each["ct"] == source), None)
    if known is not None and index[known]["seg"] == correction:
        return Kept(known)
    numbers = [number_of(path.name) or 0 for path in case_folders(out)]
    case = known or case_name(max(numbers, default=-1) + 1)
    assert stored.ct is not None  # it was asked for
    image = stored.ct.image
    hu = image.as_tensor().clamp(LOWEST_HU, 32767).round().to(torch.int16)
    labels = torch.from_numpy(label_map(stored.segmented, stored.segments))[None]
    with staging(out) as partial:
        save_nifti(MetaTensor(hu, affine=image.affine), partial.files / IMAGE)
        save_nifti(MetaTensor(labels, affine=image.affine), partial.files / LABEL)
        index[case] = {"ct": source, "seg": correction}  # both hashes
        (partial.files / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        sync_all(partial.files)
        (out / case).mkdir(exist_ok=True)
        for name in (IMAGE, LABEL):
            (partial.files / name).replace(out / case / name)
        (partial.files / INDEX).replace(out / INDEX)
    return Kept(case, new=True)


def _read_index(out: Path) -> dict[str, dict[str, str]]:
    try:
        index: dict[str, dict[str, str]] = json.loads((out / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"Expected the index of cases in {out / INDEX}: {error}") from error
    return index
