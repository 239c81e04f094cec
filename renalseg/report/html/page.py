"""A self-contained HTML file: no server, no network, no other files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.findings.sentences import USE, Kind, Statement
from renalseg.geometry import Array, to_world
from renalseg.intake.ct import CT
from renalseg.labels import TUMOR, Segment
from renalseg.report.html.measures import (
    chip,
    enhancement_table,
    measures_table,
    nephrometry_table,
)
from renalseg.report.html.pictures import Picture, draw_pictures
from renalseg.report.html.volumes import MARGIN_MM, Volumes, pack_volumes
from renalseg.runtime.harmless import one_line

TITLE = "Kidneys and kidney tumors in CT"
CENTER_HU, WIDTH_HU = 40, 400
_TURN = (160, 15)  # azimuth and elevation of the first view in 3D, in degrees: from the front
# The page may run what it holds and load nothing, from anywhere.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src data: blob:; worker-src blob:; base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True)
class Content:
    """The text of a page.

    Attributes:
        said: What the result says, the conclusion last.
        facts: Names and values of study, series and method. No patient: pages travel easily.
        segments: Their entries in result.json, with whatever measures they have.
        about: How it was measured.
        text: Sentences for a report, by language.
    """

    said: Sequence[Statement]
    facts: Mapping[str, str]
    segments: Sequence[Mapping[str, Any]]
    about: str = ""
    text: Mapping[str, str] = field(default_factory=dict)


def make_page(
    content: Content,
    ct: CT,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
) -> str:
    """Lays out the page: words and measures, a viewer of CT and segments, pictures.

    Args:
        content: What it says.
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: The segments.

    Returns:
        The file's text, less than 25 MB; the same arguments give the same text.
    """
    *others, conclusion = content.said
    image = ct.image
    volumes = pack_volumes(image, segmented)
    settings = _settings(np.asarray(image.affine, np.float64), segmented, segments)
    parts = {
        "policy": policy(),
        "title": TITLE,
        "style": style(),
        "sentence": escape(conclusion.text),
        "use": USE,
        "warnings": _warnings(others),
        "measures": "".join(
            table(content.segments)
            for table in (measures_table, enhancement_table, nephrometry_table)
        ),
        "text": _text(content.text),
        "facts": "\n".join(_facts(content.facts)),
        "legend": "\n".join(_legend(segments)),
        "center": CENTER_HU,
        "width": WIDTH_HU,
        "extent": _extent(volumes),
        "pictures": "\n".join(map(show, draw_pictures(ct, segmented, segments))),
        "about": escape(content.about),
        "ct": _base64(volumes.ct),
        "labels": _base64(volumes.labels),
        # a "<" could end the element that holds it
        "settings": json.dumps(settings).replace("<", "\\u003c"),
        "viewer": own_file("niivue/niivue.umd.js"),
        "script": own_file("page.js"),
    }
    return Template(own_file("page.html")).substitute(parts)


def policy() -> str:
    """Returns what a page may do."""
    return _POLICY


def style() -> str:
    """Returns the style sheet, for other pages that are to look alike."""
    return own_file("page.css")


def own_file(name: str) -> str:
    """Returns the text of a file beside this module."""
    return files("renalseg.report.html").joinpath(name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _settings(
    affine: Array, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]
) -> dict[str, Any]:
    """Returns the settings of the page's script: window, start position and segment positions."""
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
    items = [(kind, f"<b>{kind}:</b> {escape(one_line(text))}") for kind, text in said]
    alarms = "".join(f"<li>{text}</li>" for kind, text in items if kind != Kind.COMPARISON)
    notes = "".join(f"<p>{text}</p>" for kind, text in items if kind == Kind.COMPARISON)
    return (f'<ul class="warnings">{alarms}</ul>' if alarms else "") + notes


def _text(text: Mapping[str, str]) -> str:
    if not text:
        return ""
    written = "\n".join(f'<p lang="{key}">{escape(said)}</p>' for key, said in text.items())
    return f"<section>\n<h2>Text for a report</h2>\n{written}\n</section>"


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


def show(picture: Picture) -> str:
    """Give a picture with its caption."""
    source = f"data:image/png;base64,{_base64(picture.png)}"
    caption = escape(picture.caption)
    return (
        f'<figure style="flex: {picture.width} 1 0; max-width: {round(0.65 * picture.width)}px">'
        f'<img src="{source}" width="{picture.width}" height="{picture.height}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
