"""Surfaces as files: STL and OBJ for each segment, GLB for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from renalseg.findings.mesh import surface_of
from renalseg.geometry import Array
from renalseg.labels import KIDNEY, Segment
from renalseg.output.label_maps import segment_suffix

SUFFIXES = (".stl", ".obj", ".glb")
_FRAME = "SPACE=LPS"  # 3D Slicer looks for it in the header
_HEADER = 80  # bytes at the start of an STL file, for any text
_KIDNEY_ALPHA = 0.6
# From patients in LPS mm to glTF: meters, y up, and its front toward z.
_TO_GLTF = np.diag([1e-3, 1e-3, 1e-3, 1.0]) @ np.array(
    [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]
)


def write_meshes(
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    affine: Array,
    outputs: Sequence[str],
    stem: Path,
) -> Iterator[str]:
    """Write the surfaces that are asked for, and give the names of the files.

    Args:
        segmented: Segment numbers (X, Y, Z).
        segments: What was found.
        affine: (4, 4) of their grid, in RAS mm.
        outputs: Formats, of which "stl", "obj" and "glb" are written here.
        stem: Path of the files without what tells them apart.

    Raises:
        OSError: A file cannot be written.
    """
    wanted = [suffix for suffix in SUFFIXES if suffix.removeprefix(".") in outputs]
    if not wanted or not segments:
        return
    import trimesh  # this, scikit-image in `surface_of`: only where surfaces are made

    scene = trimesh.Scene()
    for segment in segments:
        surface = surface_of(segmented == segment.number, affine)
        mesh = trimesh.Trimesh(*surface, process=False, metadata={"name": segment.label})
        for suffix in wanted:
            if suffix != ".glb":
                path = stem.with_name(stem.name + segment_suffix(segment.label, suffix))
                path.write_bytes(_bytes_of(mesh, suffix))
                yield path.name
        mesh.visual = trimesh.visual.TextureVisuals(material=_material(segment))
        scene.add_geometry(mesh, segment.label, segment.label, transform=_TO_GLTF)
    if ".glb" in wanted:
        path = stem.with_name(f"{stem.name}.glb")
        path.write_bytes(scene.export(file_type="glb"))
        yield path.name


def _bytes_of(mesh: Any, suffix: str) -> bytes:
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.stl import export_stl

    if suffix == ".stl":
        header = _FRAME.encode().ljust(_HEADER, b"\0")
        return header + bytes(export_stl(mesh)[_HEADER:])
    text: str = export_obj(mesh, include_normals=False, include_color=False, header=_FRAME)
    return text.encode()


def _material(segment: Segment) -> Any:
    """A matt material, which in kidneys lets through what lies in them."""
    from trimesh.visual.material import PBRMaterial

    share = np.array(segment.rgb) / 255
    # glTF has colors in linear light
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    clear = segment.kind == KIDNEY
    return PBRMaterial(
        name=segment.label,
        baseColorFactor=[*linear.tolist(), _KIDNEY_ALPHA if clear else 1.0],
        alphaMode="BLEND" if clear else "OPAQUE",
        metallicFactor=0.0,
        roughnessFactor=0.6,
    )
