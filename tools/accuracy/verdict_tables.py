"""The verdicts as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from tools.accuracy.verdict import MOST_LOSS, Verdict
from tools.machine import describe
from tools.markdown import table

_COLUMNS = (
    *("method", "variant", "s per study", "peak MiB"),
    *("kidney Dice", "Δ", "tumor Dice", "Δ", "verdict"),
)


def conditions(device: torch.device) -> dict[str, Any]:
    """What a measurement depends on besides the code."""
    machine = describe(device)
    return {
        "device": machine.cpu if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": machine.threads,
        "half": machine.fast_dtype,
        "torch": machine.versions["torch"],
        "openvino": machine.versions.get("openvino", "not installed"),
    }


def markdown(verdicts: Sequence[Verdict], where: Mapping[str, Any]) -> str:
    """Two tables: the means with the verdict, and the Dice of each case.

    Args:
        verdicts: All on the same cases.
        where: As `conditions` gives it.
    """
    cases = [score.case for score in verdicts[0].measured.scores]
    said = ", ".join(f"{name} {value}" for name, value in where.items())
    means = (
        (
            *(v.measured.method, v.measured.variant),
            *(f"{v.seconds:.2f}", f"{v.measured.peak_mib:.0f}"),
            *(_dice(v.kidney), _change(v.kidney_delta), _dice(v.tumor), _change(v.tumor_delta)),
            v.word,
        )
        for v in verdicts
    )
    each = (
        (
            *(v.measured.method, v.measured.variant),
            *(f"{_dice(score.kidney)} / {_dice(score.tumor)}" for score in v.measured.scores),
        )
        for v in verdicts
    )
    return "\n".join(
        [
            f"Means over {len(cases)} cases; {said}. Not fit: more than {MOST_LOSS} of Dice lost.",
            "",
            *table(_COLUMNS, means, numbers=slice(2, 8)),
            "",
            "Dice of kidney / tumor in each case:",
            "",
            *table(("method", "variant", *cases), each, numbers=slice(2, None)),
            "",
        ]
    )


def to_json(verdicts: Sequence[Verdict], where: Mapping[str, Any]) -> str:
    """Everything measured, with the verdicts."""
    rows = [asdict(v) | {"fit": v.fit, "verdict": v.word} for v in verdicts]
    return json.dumps({"conditions": dict(where), "variants": rows}, indent=2) + "\n"


def _dice(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _change(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
