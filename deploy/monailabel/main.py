"""RenalSeg as an app of MONAI Label: a model for each method.

Each model runs RenalSeg's command, because the two cannot share an environment: pydicom-seg, which
MONAI Label imports, needs NumPy 1 and pydicom 2.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

LABELS = {"kidney": 1, "tumor": 2, "cyst": 3}
_SUFFIX = ".nii.gz"
_STATUS = {2: 422, 75: 503}  # of RenalSeg's exit codes: refused, and memory or disk ran out


class RenalSeg(MONAILabelApp):
    """Lists the methods as models.

    Args:
        app_dir: This folder.
        studies: Folder or DICOMweb address of the images.
        conf: ``renalseg``, the command in RenalSeg's environment; ``models``, methods with commas
            between them, by default all that have a file; ``device``, auto by default.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._command = conf.get("renalseg", "renalseg")
        super().__init__(
            app_dir,
            studies,
            conf,
            name="RenalSeg",
            description="Kidneys, their tumors and cysts in CT. For research only.",
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Makes a model for each method."""
        named = self.conf.get("models")
        methods = named.split(",") if named else self._methods()
        device = self.conf.get("device", "auto")
        return {method: Method(self._command, method, device) for method in methods}

    def _methods(self) -> list[str]:
        try:
            done = _run([self._command, "methods", "--json"])
        except FileNotFoundError as error:
            raise MONAILabelException(
                MONAILabelError.APP_INIT_ERROR,
                f"Expected RenalSeg's command, found no {self._command!r}: say where it is with "
                "--conf renalseg PATH",
            ) from error
        if done.returncode:
            raise MONAILabelException(MONAILabelError.APP_INIT_ERROR, _sentence(done))
        return [method["method"] for method in json.loads(done.stdout)]


class Method(InferTask):
    """Segments a CT by one method.

    Args:
        command: RenalSeg's command.
        method: Name of the method.
        device: auto, cpu, cuda or cuda:<n>.
    """

    def __init__(self, command: str, method: str, device: str) -> None:
        super().__init__(InferType.SEGMENTATION, LABELS, 3, f"RenalSeg by its method {method}")
        self._run = [command, "run", "--outputs", "nifti", "--method", method, "--device", device]

    def is_valid(self) -> bool:
        """Always."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segments the image of a request.

        Returns:
            The label map on the grid of the image, None where there is none; the names of its
            values, and what `result.json` says of the study.

        Raises:
            HTTPException: RenalSeg refused the image, or failed; with its sentence.
        """
        with tempfile.TemporaryDirectory() as folder:
            done = _run([*self._run, request["image"], folder])
            if done.returncode:
                raise HTTPException(_STATUS.get(done.returncode, 500), _sentence(done))
            studies = json.loads((Path(folder) / "result.json").read_text("utf-8"))["studies"]
            written = next(Path(folder).glob(f"*{_SUFFIX}"), None)
            return written and _keep(written), {"label_names": LABELS, "studies": studies}


def _keep(path: Path) -> str:
    """Moves a file to where MONAI Label takes it from, and removes it."""
    with tempfile.NamedTemporaryFile(suffix=_SUFFIX, delete=False) as kept:
        shutil.move(path, kept.name)
        return kept.name


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What the command said last."""
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1]
