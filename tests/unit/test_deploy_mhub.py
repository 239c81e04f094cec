"""The model folder for MHub against the rules of its submissions, and its runner with mhubio."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from renalseg import __version__
from tests.factories.deployment import DEPLOY, ROOT, pinned

NAME = "renalseg"
MODEL = DEPLOY / "mhub" / NAME
SECTIONS = ("use", "analyses", "evaluation", "training")
CLASSES = ["LEFT_KIDNEY", "RIGHT_KIDNEY", "KIDNEY+NEOPLASM_MALIGNANT_PRIMARY", "KIDNEY+CYST"]

# What `python -m mhubio.run` does, but for its folder /app. Its image has a pydicom before 3.0.
WORKFLOW = """
import sys
import pydicom
pydicom.read_file = pydicom.dcmread
sys.path[:0] = [{mhubio!r}, {utils!r}]
from mhubio.core import Config
from mhubio.modules.importer.DicomImporter import DicomImporter
from mhubio.modules.organizer.DataOrganizer import DataOrganizer
from RenalSegRunner import RenalSegRunner
config = Config(config_file={config!r}, args=False)
for module in (DicomImporter, RenalSegRunner, DataOrganizer):
    module(config).execute()
"""


def test_the_dockerfile_keeps_to_the_rules_of_a_submission() -> None:
    lines = [line for line in (MODEL / "dockerfiles/Dockerfile").read_text().splitlines() if line]
    assert lines[0] == "FROM mhubai/base:latest"
    assert "ARG MHUB_MODELS_REPO" in lines
    assert f"RUN buildutils/import_mhub_model.sh {NAME} ${{MHUB_MODELS_REPO}}" in lines
    assert lines[-2:] == ['ENTRYPOINT ["mhub.run"]', 'CMD ["--workflow", "default"]']
    assert not [line for line in lines[1:] if line.split()[0] in ("FROM", "ADD", "COPY", "WORKDIR")]
    assert f"ARG RENALSEG=renalseg=={__version__}" in lines
    assert f"ARG TORCH=torch=={pinned('torch')}" in lines


def test_the_metadata_has_what_the_site_shows() -> None:
    meta = json.loads((MODEL / "meta.json").read_text())
    assert (meta["name"], meta["details"]["version"]) == (NAME, __version__)
    assert len(meta["summary"]["description"]) <= 200
    assert meta["summary"]["outputs"][0]["classes"] == CLASSES
    assert meta["details"]["license"] == {"code": "Apache-2.0", "weights": "CC BY-NC-SA 4.0"}
    for name in SECTIONS:
        assert 50 <= len(meta["info"][name]["text"].split()) <= 500, name


def test_each_step_of_the_workflow_is_one_of_mhub_or_of_the_folder() -> None:
    config = yaml.safe_load((MODEL / "config/default.yml").read_text())
    own = {path.stem for path in (MODEL / "utils").glob("*.py")}
    assert set(config["execute"]) - own == {"DicomImporter", "DataOrganizer"}
    assert set(config["modules"]) == set(config["execute"])


@pytest.mark.slow
def test_the_workflow_runs_on_series_and_goes_on_after_one_that_is_refused(tmp_path: Path) -> None:
    mhubio = tmp_path / "mhubio"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(mhubio)]
    if subprocess.run([*install, "mhubio==0.0.2"], check=False).returncode:
        pytest.skip("mhubio cannot be had")
    data = tmp_path / "data"
    renalseg = [str(Path(sys.executable).with_name("renalseg"))]
    subprocess.run([*renalseg, "sample", str(tmp_path / "sample")], check=True, cwd=ROOT)
    for name in ("good", "bad"):
        shutil.copytree(tmp_path / "sample" / "dicom", data / "input_data" / name)
    bad = sorted((data / "input_data" / "bad").iterdir())
    for path in bad[len(bad) // 2 : len(bad) // 2 + 3]:
        path.unlink()

    config = yaml.safe_load((MODEL / "config/default.yml").read_text())
    config["general"]["data_base_dir"] = str(data)
    config["modules"]["DicomImporter"]["sort_data"] = False  # dicomsort is of MHub's image
    (tmp_path / "workflow.yml").write_text(yaml.safe_dump(config))
    code = WORKFLOW.format(
        mhubio=str(mhubio), utils=str(MODEL / "utils"), config=str(tmp_path / "workflow.yml")
    )
    commands = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = {p.relative_to(data / "output_data").as_posix() for p in data.glob("output_data/*/*")}
    assert written == {f"good/renalseg.{kind}" for kind in ("seg.dcm", "sr.dcm", "json")}
    report = json.loads((data / "output_data/good/renalseg.json").read_text())
    assert report["studies"][0]["segments"]
