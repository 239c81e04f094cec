"""RenalSeg: kidneys and kidney tumors from a CT study, as a DICOM segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renalseg.output.result import Result

__version__ = "0.1.0"
__all__ = ["__version__", "segment"]


def segment(
    dicom_dir: str | Path,
    out_dir: str | Path,
    *,
    method: str | None = None,
    localizer: str | None = None,
    tumor: str | None = None,
    device: str | None = None,
    bundles: str | Path | None = None,
    overlay: str | Path | None = None,
    report: str | Path | None = None,
    allow_gaps: bool | None = None,
    series: str | None = None,
    outputs: str | None = None,
    empty_frames: bool | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Result:
    """Segments the kidneys and their tumors in each CT study of a folder.

    Args:
        dicom_dir: Folder with the DICOM files of one patient; only read.
        out_dir: Gets segmentation and reports of each study and result.json when all are complete.
        method: "convlstm", "mrb", "resvnet", "sehdc" or "msvnet"; or two of them, such as
            "sehdc+msvnet", of which the first finds the kidneys; or three, of which the second
            outlines them again.
        localizer: Name of a kidney bundle, such as "kidney_mrb", instead of the method's.
        tumor: Name of a tumor bundle, such as "tumor_mrb", instead of the method's.
        device: "auto", "cpu", "cuda" or "cuda:<n>".
        bundles: Folder with the bundles.
        overlay: Folder that gets a picture of the result.
        report: Folder that gets the result as an HTML page.
        allow_gaps: Process series in which slices are missing away from the kidneys.
        series: UID, number or description of the series to take of each study, instead of the one
            that suits best.
        outputs: What is written, "seg,sr,pdf" by default; also "labelmap" and "sc".
        empty_frames: Also write the frames of a segmentation in which there is nothing.
        overrides: Values to set in the bundles or among the numbers of the method for this run,
            such as {"threshold": 0.3} or {"plausibility.tumor.large_share": 0.5}.

    Returns:
        What was found and written.

    Raises:
        InputError: No study can be processed.
        ConfigError: A method, bundle, device or name to set does not exist.
    """
    from renalseg.runtime.cuda_runtime import ensure_cuda_runtime

    ensure_cuda_runtime()
    # Imported here, so that `import renalseg` is quick, and after what MONAI's import needs.
    from renalseg import pipeline
    from renalseg.inference.models import Models
    from renalseg.runtime.progress import bar_wanted
    from renalseg.settings import Settings

    settings = Settings.resolve(
        method=method,
        localizer=localizer,
        tumor=tumor,
        device=device,
        bundles=bundles,
        overlay=overlay,
        report=report,
        allow_gaps=allow_gaps,
        series=series,
        outputs=outputs,
        empty_frames=empty_frames,
        overrides=overrides,
    )
    with Models(settings.choice, progress=bar_wanted()) as models:
        return pipeline.run(Path(dicom_dir), Path(out_dir), models, settings)
