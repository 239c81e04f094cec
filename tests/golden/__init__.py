"""Golden outputs: what each method finds in one synthetic CT, so that no result changes unseen.

For each method ``<method>.json`` holds the SHA-256 of the label map, its shape and its voxels, and
``<method>.npz`` the label map. They are of the plain run: torch, float32, on a CPU. The command
``make goldens``, or ``python -m tests.golden``, renews them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.evaluation.overlap import kits19_dice
from renalseg.inference.models import Models
from renalseg.labels import KIDNEY, TUMOR
from renalseg.settings import DEFAULT_METHOD, Settings
from renalseg.synthesis.sample import draw_sample

FOLDER = Path(__file__).parent
BUNDLES = FOLDER.parents[1] / "bundles"
METHODS = (DEFAULT_METHOD, "convlstm", "mrb", "msvnet", "resvnet", "sehdc")
PLAIN: Mapping[str, Any] = {"engine": "torch", "amp": False}

MOST = 1e-4
"""Share of the foreground that may differ where another processor rounds otherwise.

None does in any method between one thread and two, nor between AVX-512 and AVX2, though the logits
then differ by 1e-6.
"""

Labels = npt.NDArray[np.uint8]


@cache
def sample() -> tuple[MetaTensor, MetaTensor]:
    """The CT and its truth, cut close to the body: small, and with a tumor that methods find."""
    return draw_sample(seed=12, shape=(168, 120, 48), spacing=(2.0, 2.0, 2.5))


def predict(method: str, overrides: Mapping[str, Any] | None = None) -> Labels:
    """The label map (X, Y, Z) of the sample by a method on the CPU."""
    settings = Settings.resolve(method=method, device="cpu", bundles=BUNDLES)
    image, _ = sample()
    with Models(settings.choice, overrides) as models:
        pred = models.find_tumors(image, models.find_kidneys(image))
    return np.ascontiguousarray(pred[0].numpy())


def sha256(array: npt.NDArray[Any]) -> str:
    """Of the values in C order; the shape does not count."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@dataclass(frozen=True)
class Golden:
    """What a method found when it was last looked at.

    Attributes:
        sample: SHA-256 of the HU of the CT.
        sha256: Of the label map.
        shape: Of both, "X x Y x Z".
        kidney: Voxels of the label.
        tumor: Voxels of the label.
    """

    sample: str
    sha256: str
    shape: str
    kidney: int
    tumor: int

    @classmethod
    def of(cls, pred: Labels) -> Golden:
        """The facts of a label map of the sample."""
        kidney, tumor = (int((pred == label).sum()) for label in (KIDNEY, TUMOR))
        shape = " x ".join(map(str, pred.shape))
        return cls(sha256(sample()[0].numpy()), sha256(pred), shape, kidney, tumor)


def save(method: str, pred: Labels) -> None:
    """Makes a label map the golden of a method."""
    text = json.dumps(asdict(Golden.of(pred)), indent=2)
    (FOLDER / f"{method}.json").write_text(text + "\n")
    np.savez_compressed(FOLDER / f"{method}.npz", pred=pred)


def load(method: str) -> tuple[Golden, Labels]:
    """The golden of a method and its label map."""
    facts = json.loads((FOLDER / f"{method}.json").read_text())
    with np.load(FOLDER / f"{method}.npz") as stored:
        pred: Labels = stored["pred"]
    return Golden(**facts), pred


def dice(pred: Labels, label: Labels) -> dict[str, float]:
    """Dice of kidney and tumor of two label maps (X, Y, Z) of the sample."""
    affine = sample()[0].affine
    a, b = (MetaTensor(torch.from_numpy(x)[None], affine=affine) for x in (pred, label))
    return kits19_dice(a, b)


def require_golden(method: str, pred: Labels) -> int:
    """Compares a label map with the golden of a method.

    Returns:
        How many voxels differ, if those are few enough for rounding.

    Raises:
        AssertionError: They are more; the message says what to do.
    """
    facts, golden = load(method)
    found = Golden.of(pred)
    if (found.sha256, found.shape) == (facts.sha256, facts.shape):
        return 0
    differing = int((pred != golden).sum()) if pred.shape == golden.shape else golden.size
    allowed = int(MOST * (facts.kidney + facts.tumor))
    if differing <= allowed:
        return differing
    cause = "" if found.sample == facts.sample else "The CT itself is another than the golden's.\n"
    raise AssertionError(
        f"{method}: {differing} voxels differ from the golden, {allowed} may.\n{cause}"
        f"golden: {facts}\nfound:  {found}\n"
        "If no result should have changed, find the commit that changed it. If it should have:\n"
        f"`python -m tests.golden {method}` makes a new golden and prints its Dice against the\n"
        "old one and against the truth. Look at both: the truth must not have become worse."
    )
