"""RenalSeg as a module of MHub: runs its command on one CT series."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from mhubio.core import IO, Instance, InstanceData, Module

COMMAND = "renalseg"


@IO.Config("method", str, "", the="method of RenalSeg, such as unet; its default if empty")
@IO.Config("device", str, "auto", the="auto, cpu, cuda or cuda:<n>")
class RenalSegRunner(Module):
    """Segments kidneys, their tumors and cysts.

    A series that RenalSeg refuses fails with its sentence; the other series of a run go on. Where
    no kidney is in the image, there is a report and no segmentation.
    """

    method: str
    device: str

    @IO.Instance()
    @IO.Input("ct", "dicom:mod=ct", the="CT of the abdomen, with contrast or without")
    @IO.Output(
        "seg",
        "renalseg.seg.dcm",
        "dicomseg:mod=seg:model=RenalSeg",
        data="ct",
        the="kidneys, tumors and cysts",
    )
    @IO.Output(
        "sr",
        "renalseg.sr.dcm",
        "dicom:mod=sr:model=RenalSeg",
        data="ct",
        the="their measurements, TID 1500",
    )
    @IO.Output(
        "report",
        "renalseg.json",
        "json:mod=report:model=RenalSeg",
        data="ct",
        the="findings and measurements",
    )
    def task(
        self,
        instance: Instance,
        ct: InstanceData,
        seg: InstanceData,
        sr: InstanceData,
        report: InstanceData,
    ) -> None:
        """Runs the command in a folder of its own, and moves its files to where MHub wants them."""
        with tempfile.TemporaryDirectory() as folder:
            options = ["--outputs", "seg,sr", "--device", self.device]
            if self.method:
                options += ["--method", self.method]
            subprocess.run([COMMAND, "run", ct.abspath, folder, *options], check=True)
            for pattern, wanted in (("*.seg.dcm", seg), ("*.sr.dcm", sr), ("result.json", report)):
                for written in Path(folder).glob(pattern):
                    shutil.move(str(written), wanted.abspath)
