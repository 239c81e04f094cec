"""RenalSeg: kidneys and kidney tumors from a CT, as a DICOM segmentation or a label map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from renalseg.segmenter import Progress, Segmentation, Segmenter

__version__ = "0.1.0"
__all__ = ["Segmenter", "__version__", "segment"]


def segment(
    source: Any,
    out_dir: str | Path | None = None,
    *,
    affine: npt.ArrayLike | None = None,
    name: str = "volume",
    progress: Progress | None = None,
    method: str | None = None,
    localizer: str | None = None,
    tumor: str | None = None,
    labels: str | None = None,
    device: str | None = None,
    bundles: str | Path | None = None,
    overlay: str | Path | None = None,
    report: str | Path | None = None,
    allow_gaps: bool | None = None,
    series: str | None = None,
    outputs: str | None = None,
    empty_frames: bool | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Segmentation:
    """Segments the kidneys and their tumors in a CT, or in each CT study of a folder.

    Args:
        source: Folder with the DICOM files of one patient or with volumes (NIfTI, NRRD, MetaImage),
            one file, or a ZIP or tar archive; only read. Or a volume in memory: HU as an array
            (X, Y, Z) with its `affine`, a MetaTensor, or an image of nibabel or SimpleITK.
        out_dir: Gets the files of each study and result.json when all are complete; None for no
            files.
        affine: (4, 4) from voxel centers to RAS mm, of an array.
        name: Of a volume in memory, in what is found and written.
        progress: Called with a `renalseg.segmenter.Step` as each stage of a study begins, and at
            the end.
        method: "convlstm", "mrb", "resvnet", "sehdc" or "msvnet"; or two of them, such as
            "sehdc+msvnet", of which the first finds the kidneys; or three, of which the second
            outlines them again.
        localizer: Name of a kidney bundle, such as "kidney_mrb", instead of the method's; or a
            model from elsewhere, such as "nnunet:PATH".
        tumor: The same of a tumor bundle, such as "tumor_mrb".
        labels: What the labels of a model from elsewhere mean, such as "kidney=1,tumor=2,cyst=3",
            where its own names do not say it.
        device: "auto", "cpu", "cuda" or "cuda:<n>".
        bundles: Folder with the bundles.
        overlay: Folder that gets a picture of the result.
        report: Folder that gets the result as an HTML page.
        allow_gaps: Process series in which slices are missing away from the kidneys.
        series: UID, number or description of the series to take of each study, instead of the one
            that suits best.
        outputs: What is written, "seg,sr,pdf" by default, also "labelmap", "rtstruct" and "sc"; of
            any CT "nifti", "nrrd", "mha" (label maps), "masks", "seg.nrrd" (of 3D
            Slicer), "stl", "obj" and "glb" (surfaces). By default, a label map in its own format is
            written of a volume.
        empty_frames: Also write the frames of a segmentation in which there is nothing.
        overrides: Values to set in the bundles or among the numbers of the method for this run,
            such as {"threshold": 0.3} or {"plausibility.tumor.large_share": 0.5}.

    Returns:
        What was found and written: the label map and its affine as arrays, a list of lesions, a
        picture, and the account of all studies and files.

    Raises:
        InputError: No study can be processed.
        ConfigError: A method, bundle, device or name to set does not exist.
    """
    with _segmenter()(
        progress=progress,
        method=method,
        localizer=localizer,
        tumor=tumor,
        labels=labels,
        device=device,
        bundles=bundles,
        overlay=overlay,
        report=report,
        allow_gaps=allow_gaps,
        series=series,
        outputs=outputs,
        empty_frames=empty_frames,
        overrides=overrides,
    ) as segmenter:
        return segmenter(source, out_dir, affine=affine, name=name)


def _segmenter() -> type[Segmenter]:
    """The class, imported late: `import renalseg` is quick, and MONAI's import needs CUDA's."""
    from renalseg.runtime.cuda_runtime import ensure_cuda_runtime

    ensure_cuda_runtime()
    from renalseg.segmenter import Segmenter

    return Segmenter


def __getattr__(name: str) -> Any:
    if name == "Segmenter":
        return _segmenter()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
