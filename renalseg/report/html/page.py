"""A self-contained HTML file: no server, no network, no other files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.findings.sentences import USE, Kind, Statement
from renalseg.geometry import to_world
from renalseg.intake.ct import CT
from renalseg.labels import TUMOR, Segment
from renalseg.report.content import TITLE, Content
from renalseg.report.html.document import document, own_file
from renalseg.report.html.sections import chip, sections_html
from renalseg.report.html.volumes import MARGIN_MM, Volumes, pack_volumes
from renalseg.report.images import image_names, slice_levels
from renalseg.report.sections import sections_of
from renalseg.runtime.harmless import one_line

CENTER_HU, WIDTH_HU = 40, 400
_TURN = (160, 15)  # azimuth and elevation of the first view in 3D, in degrees: from the front


def make_page(content: Content, ct: CT, segmented: npt.NDArray[np.uint8]) -> str:
    """Lays out the page: words, the sections of the report, a viewer of CT and segments.

    Args:
        content: What it says.
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.

    Returns:
        The file's text, less than 25 MB; the same arguments give the same text.
    """
    *others, conclusion = content.said
    volumes = pack_volumes(ct.image, segmented)
    settings = _settings(ct, segmented, content.segments)
    parts = {
        "title": TITLE,
        "sentence": escape(conclusion.text),
        "use": USE,
        "warnings": _warnings(others),
        "sections": sections_html(sections_of(content, ct, segmented)),
        "facts": "\n".join(_facts(content.facts)),
        "legend": "\n".join(_legend(content.segments)),
        "center": CENTER_HU,
        "width": WIDTH_HU,
        "extent": _extent(volumes),
        "ct": _base64(volumes.ct),
        "labels": _base64(volumes.labels),
        # a "<" could end the element that holds it
        "settings": json.dumps(settings).replace("<", "\\u003c"),
        "viewer": own_file("niivue/niivue.umd.js"),
        "outline": own_file("outline.glsl"),
        "script": own_file("page.js"),
    }
    return document(TITLE, Template(own_file("page.html")).substitute(parts), scripts=True)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _settings(
    ct: CT, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> dict[str, Any]:
    """Returns the settings of the page's script: window, images and the places of segments."""
    affine = np.asarray(ct.image.affine, np.float64)
    boxes = ndimage.find_objects(segmented)
    entries: list[dict[str, Any]] = []
    for segment in segments:
        box = boxes[segment.number - 1]
        place = _inside(segmented[box] == segment.number) + [part.start for part in box]
        entries.append(
            {
                "number": segment.number,
                "label": segment.label,
                "rgb": segment.rgb,
                "place": to_world(affine, place).round(2).tolist(),
                "rank": [segment.kind == TUMOR, segment.volume_ml],
            }
        )
    first = max(entries, key=lambda entry: entry.pop("rank"), default=None)
    middle = to_world(affine, (np.array(segmented.shape) - 1) / 2).round(2).tolist()
    return {
        "center": CENTER_HU,
        "width": WIDTH_HU,
        "turn": _TURN,
        "place": first["place"] if first else middle,
        "segments": entries,
        "images": {
            # along the slices: what to multiply RAS mm and 1 with
            "along": np.linalg.inv(affine)[2].round(6).tolist(),
            "levels": slice_levels(ct).tolist(),
            "names": image_names(ct),
        },
    }


def _inside(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The voxel (3,) of a mask that is nearest to its centroid: a kidney is bent around its own."""
    voxels = np.argwhere(mask)
    return np.asarray(voxels[((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()])


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    for name, value in facts.items():
        yield f"<dt>{escape(name)}</dt><dd>{escape(one_line(value))}</dd>"


def _warnings(said: Sequence[Statement]) -> str:
    if not said:
        return ""
    items = "".join(
        f"<li><b>{kind}:</b> {escape(one_line(text))}</li>"
        for kind, text in said
        if kind != Kind.COMPARISON  # which has a section
    )
    return f'<ul class="warnings">{items}</ul>' if items else ""


def _legend(segments: Sequence[Segment]) -> Iterator[str]:
    for segment in segments:
        yield (
            f'<li><button type="button" value="{segment.number}">{chip(segment.rgb)}'
            f"{escape(segment.label)}</button></li>"
        )


def _extent(volumes: Volumes) -> str:
    size = " x ".join(f"{value:.2g}" for value in volumes.spacing)
    coarser = (
        f", averaged to voxels of {size} mm to keep this page small" if volumes.coarser else ""
    )
    return f"What was found and {MARGIN_MM:.0f} mm around it{coarser}."
