"""The command ``renalseg report``: writes the HTML page of a finished study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from renalseg.dicom.read.series import CTSeries
    from renalseg.intake.ct import CT
    from renalseg.volumes.ct import CTVolume


def add_report_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="show a result in one HTML file that opens from disk"
    )
    parser.add_argument("dicom_in", type=Path, help="DICOM files or volumes: a folder, or one file")
    parser.add_argument("seg_out", type=Path, help="folder with the results of a run on them")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="gets the page")
    parser.add_argument(
        "--study", metavar="NAME", help="which study or volume, if there are several"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    parser.set_defaults(action=_report)


def _report(options: argparse.Namespace) -> None:
    write_report(options.dicom_in, options.seg_out, options.html, study=options.study)
    print(options.html)


def write_report(dicom_in: Path, seg_out: Path, html: Path, *, study: str | None = None) -> None:
    """Writes the HTML page of a study from the files of its run.

    Args:
        dicom_in: The CT: a folder, or one file; only read.
        seg_out: Folder with result.json and the segmentation or label map; only read.
        html: The page; its folder is made.
        study: StudyInstanceUID, or name of the volume; optional if only one study has a result.

    Raises:
        InputError: There is no such result, its segmentation is missing, or the CT is a different
        one.
    """
    from renalseg.intake.folders import name_of, opened
    from renalseg.report.html.study import save_page
    from renalseg.volumes.files import is_volume

    run, entry = _stored(seg_out, study)
    with opened(dicom_in) as place:
        ct: CT
        if is_volume(Path(str(entry["series"]))):
            ct = _volume(place, entry, called=name_of(dicom_in))
        else:
            ct = _source(place, entry)
    save_page(ct, _segmented(seg_out, run, entry, ct), entry, run, html)


def _stored(folder: Path, study: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the entries of the run and of one study from result.json."""
    from renalseg.output.folder import RESULT_FILE, read_result
    from renalseg.output.study import REFUSED

    run = read_result(folder)
    found = (entry for entry in run["studies"] if entry["finding"] != REFUSED)
    entries = {entry["study"]: entry for entry in found}
    if study is None and len(entries) == 1:
        (study,) = entries
    if study not in entries:
        asked = f"study {study}" if study else "one study, or the option --study"
        raise InputError(
            f"Expected {asked} in {folder / RESULT_FILE}, found {', '.join(entries) or 'none'}"
        )
    return run, entries[study]


def _segmented(
    folder: Path, run: dict[str, Any], entry: dict[str, Any], ct: CT
) -> npt.NDArray[np.uint8]:
    """The segment numbers (X, Y, Z) on the grid of the image."""
    import numpy as np

    from renalseg.dicom.read.segmentation import read_saved
    from renalseg.dicom.read.series import CTSeries
    from renalseg.output.label_maps import maps_of

    if not entry["segments"]:  # DICOM has no empty segmentation
        return np.zeros(ct.image.shape[1:], np.uint8)
    segs = [name for name in entry["files"] if str(name).endswith((".seg.dcm", ".labelmap.dcm"))]
    for name in (*segs, *maps_of(entry)):
        path = folder / str(name)
        if not path.is_file():
            continue
        if isinstance(ct, CTSeries) and name in segs:
            return read_saved(path, ct)
        return _split(path, run, entry, ct)
    raise InputError(f"Expected the segmentation of study {entry['study']} in {folder}, found none")


def _split(path: Path, run: dict[str, Any], entry: dict[str, Any], ct: CT) -> npt.NDArray[np.uint8]:
    """Divides a label map into the segments that it was made of, as the run did."""
    import numpy as np
    import torch
    from monai.data import MetaTensor

    from renalseg.findings.segments import split_segments
    from renalseg.inference.methods import build_numbers
    from renalseg.output.folder import RESULT_FILE
    from renalseg.volumes.ct import CTVolume
    from renalseg.volumes.files import open_volume

    stored = open_volume(path)
    kinds = stored.values().astype(np.uint8)
    if isinstance(ct, CTVolume):
        kinds = ct.turn.forth(kinds)
    segments: list[Any] = []
    if kinds.shape == tuple(ct.image.shape[1:]):
        pred = MetaTensor(torch.from_numpy(kinds.copy())[None], affine=ct.image.affine)
        sides = build_numbers(run["numbers"], str(path.with_name(RESULT_FILE))).sides
        segmented, segments = split_segments(pred, ct.image, sides)
    found = [(segment.label, round(segment.volume_ml, 3)) for segment in segments]
    if found != [(each["label"], round(each["volume_ml"], 3)) for each in entry["segments"]]:
        raise InputError(f"Expected the segments of {RESULT_FILE} in {path}, found others: {found}")
    return segmented


def _volume(place: Path, entry: dict[str, Any], *, called: str) -> CTVolume:
    """Finds the volume from which the results were made."""
    from renalseg.dicom.read.files import list_files
    from renalseg.intake.volumes import plan_volumes
    from renalseg.volumes.ct import read_ct

    plans = plan_volumes(place, list_files(place), called).studies
    for plan in plans:
        if plan.study == entry["study"] and plan.reason is None:
            ct = read_ct(plan.to_read(), plan.study, plan.file)
            if ct.input_hash == entry["input_hash"]:
                return ct
    found = ", ".join(plan.study for plan in plans) or "none"
    raise InputError(
        f"Expected in {place} the volume that the results were made of, {entry['study']} with the "
        f"same voxels; found {found}"
    )


def _source(folder: Path, entry: dict[str, Any]) -> CTSeries:
    """Finds the series, or the part of one, from which the results were made."""
    from renalseg.dicom.read.choose import make_plan
    from renalseg.dicom.read.scan import scan_folder
    from renalseg.dicom.read.series import load

    plan = make_plan(scan_folder(folder), allow_gaps=True)
    candidates = [candidate for study in plan.studies for candidate in study.candidates]
    for candidate in candidates:
        if candidate.series == entry["series"] and candidate.reason is None:
            series = load(candidate)
            if series.input_hash == entry["input_hash"]:
                return series
    found = ", ".join(sorted({candidate.series for candidate in candidates})) or "none"
    raise InputError(
        f"Expected in {folder} the CT that the results were made of, series {entry['series']} with "
        f"the same pixels; found the series {found}"
    )
