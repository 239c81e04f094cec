"""What mercure, the DICOM orchestrator, reads of a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from renalseg.labels import bounded
from renalseg.output.folder import RESULT_FILE
from renalseg.runtime.staging import complete_file

NOTIFICATION = "__mercure_notification"


def add_notification(folder: Path) -> None:
    """Add to result.json what mercure shows, and whether it is to notify (mercure, docs/modules).

    It asks for a notification where a tumor was found; the rule of mercure says who gets it.

    Args:
        folder: With result.json, which is replaced as a whole.
    """
    path = folder / RESULT_FILE
    result = json.loads(path.read_text(encoding="utf-8"))
    studies = result["studies"]
    result[NOTIFICATION] = {
        "text": "; ".join(
            [f"RenalSeg {result['version']}, {result['use']}", *map(_describe, studies)]
        ),
        "requested": any(study["finding"] == "tumor found" for study in studies),
    }
    with complete_file(path) as file:  # mercure would take a half one, too
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _describe(study: dict[str, Any]) -> str:
    """The finding and the volumes; nothing that names a patient."""
    found = []
    for segment in study.get("segments", []):
        volume = bounded(f"{segment['volume_ml']:.0f} ml", segment.get("lower_bound", False))
        found.append(f"{segment['label']} {volume}")
    text = f"{study['finding']}: {', '.join(found)}" if found else str(study["finding"])
    review = len(study.get("review", ()))
    return f"{text} ({review} to review)" if review else text
