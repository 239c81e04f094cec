"""Training stacks that hold both kidneys: drawn from label maps, or real ones with more lesions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.synthesis.fields import chance, gaussian_blur, smooth_field, uniform
from renalseg.synthesis.pair_appearance import Canvas, draw_parenchyma, noise, paint_pair
from renalseg.synthesis.pair_lesions import depth_in_slices, implant, lesion_shapes, place
from renalseg.synthesis.patient import CaseStream
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.slabs import LesionSpan, Slab

_TUMOR_ML, _CYST_ML = (0.0, 6.0, 40.0), (0.0, 4.0)  # where classes of size begin
_TUMOR_SHARES = (0.5, 0.3, 0.2)  # share of the stacks drawn for a tumor, small ones first
_NEAR_TUMOR, _NEAR_CYST = 0.46, 0.12  # shares of the drawn stacks
_SHOWN = ((None, 0.65), ((0.0, 255.0), 0.25), ((-160.0, 240.0), 0.1))  # windows of archives, HU
_AIR_HU = -1000.0
_LEAST_PIXELS = 60  # labeled, in the middle slice of a stack
_CONTRAST_HU = 60.0  # of a real cortex


class KidneyPairs(CaseStream[dict[str, Any]]):
    """Endless stacks of slices, centered on the kidneys in their center slice.

    Each lesion is drawn equally often, and small ones first, so that the many slices of a large
    tumor do not crowd out the few of a small one.

    Args:
        anatomies: Label maps on the grid of the stacks, and real slabs on any grid.
        size: Pixels of a stack along R and A.
        spacing: mm along R, A, S.
        slices: Of a stack, an odd number.
        real: Share of the stacks that come from real slabs, if there are any.
        implanted: Share of the real stacks that get further lesions.
        phases: Shares of the four contrast phases in drawn CTs.
        transform: From a stack to the network's input.
        seed: Start of the random stream.
    """

    def __init__(
        self,
        anatomies: Sequence[Slab],
        size: Sequence[int],
        spacing: Sequence[float],
        slices: int = 5,
        real: float = 0.5,
        implanted: float = 0.55,
        phases: Sequence[float] = (0.15, 0.38, 0.31, 0.16),
        transform: Callable[[dict[str, Any]], Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__([], transform, seed)
        self.slabs = list(anatomies)
        self.size, self.spacing, self.slices = tuple(size), tuple(spacing), slices
        drawn = [slab for slab in self.slabs if slab.image is None]
        self.real = real if drawn else 1.0
        self.implanted = implanted
        self.phases = tuple(phases)
        self.weights = _by_patient(self.slabs).share_memory_()
        self.shapes = [s for slab in drawn for s in lesion_shapes(slab.label, slab.spacing, slices)]
        self._drawn = [i for i, slab in enumerate(self.slabs) if slab.image is None]
        self._tumors = self._spans(TUMOR, _TUMOR_ML)
        self._cysts = self._spans(CYST, _CYST_ML)

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One stack: `image` (1, *size, slices) float32 HU, `label`, `mask` likewise uint8, `case`.

        The mask is that of a localizer, or the outline of the label where there is none.
        """
        has_real = bool(self.weights.any())
        while True:
            if has_real and chance(generator, self.real):
                case = self.draw_patient(generator)
                stack = self._draw_real(self.slabs[case], generator)
            else:
                case, first, last = self._choose(generator)
                stack = self._draw_label(self.slabs[case], first, last, generator)
            if stack is not None:
                hu, label, mask = (part[None] for part in stack)
                return {"image": hu, "label": label, "mask": mask, "case": case}

    def _spans(self, kind: int, begins: Sequence[float]) -> list[list[tuple[int, LesionSpan]]]:
        """The lesions of a kind by size class, without empty classes."""
        ends = (*begins[1:], math.inf)
        every = [(i, span) for i in self._drawn for span in self.slabs[i].lesions]
        classes = [
            [(i, s) for i, s in every if s.kind == kind and low <= s.volume_ml < high]
            for low, high in zip(begins, ends, strict=True)
        ]
        return [spans for spans in classes if spans]

    def _choose(self, generator: Generator) -> tuple[int, int, int]:
        """Chooses a label map, and the slices from which the center of the stack is drawn."""
        kind = uniform(generator, 0, 1)
        classes, shares = self._tumors, list(_TUMOR_SHARES)
        if kind >= _NEAR_TUMOR:
            classes, shares = self._cysts, [0.5, 0.5]
        if classes and kind < _NEAR_TUMOR + _NEAR_CYST:
            weights = torch.tensor(shares[: len(classes)])
            spans = classes[int(torch.multinomial(weights, 1, generator=generator))]
            case, span = spans[int(torch.randint(len(spans), (), generator=generator))]
            return case, span.first, span.last
        case = self._drawn[int(torch.randint(len(self._drawn), (), generator=generator))]
        return case, 0, self.slabs[case].label.shape[-1] - 1

    def _stack(self, slab: Slab, z: int, generator: Generator) -> tuple[list[int], Tensor] | None:
        """The slices of a stack, and their points in the plane; None with too little kidney."""
        label = slab.label[..., z] > 0
        if int(label.sum()) * slab.spacing[0] ** 2 < _LEAST_PIXELS * self.spacing[0] ** 2:
            return None
        step = max(1, round(self.spacing[2] / slab.spacing[2]))
        half = self.slices // 2
        last = slab.label.shape[-1] - 1
        chosen = [min(max(z + step * k, 0), last) for k in range(-half, half + 1)]
        ends = [torch.nonzero(label.any(dim=axis))[[0, -1], 0] for axis in (1, 0)]
        center = torch.stack([(low + high) / 2 for low, high in ends])
        points = draw_plane(self.size, self.spacing, generator)
        voxels = points / torch.tensor(slab.spacing[:2])[:, None, None] + center[:, None, None]
        return chosen, voxels

    def _canvas(self, generator: Generator) -> Canvas:
        return Canvas((*self.size, self.slices), self.spacing, generator)

    def _draw_label(
        self, slab: Slab, first: int, last: int, generator: Generator
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        z = first + int(torch.randint(last - first + 1, (), generator=generator))
        stack = self._stack(slab, z, generator)
        if stack is None:
            return None
        slices, voxels = stack
        label = sample(slab.label, slices, voxels, "nearest").to(torch.uint8)
        depth, tumor_depth = (
            sample(part, slices, voxels, "bilinear") / 4 for part in (slab.depth, slab.tumor_depth)
        )
        parenchyma = draw_parenchyma(generator, self.phases)
        plain = last - first == slab.label.shape[-1] - 1
        label = _without_some(label, parenchyma.phase, plain, generator)
        if chance(generator, 0.4 if plain else 0.15):
            kind = TUMOR if chance(generator, 0.66) else CYST
            # without contrast, a tumor inside the kidney is invisible
            hidden = kind == TUMOR and parenchyma.phase == Phase.NON_CONTRAST
            small = chance(generator, 0.75)
            mask = None if hidden else place(label, self.shapes, kind, generator, small=small)
            if mask is not None:
                label[mask] = kind
                depth = torch.where(mask, depth.clamp(min=1.0), depth)
                if kind == TUMOR:
                    own = depth_in_slices(mask) * self.spacing[0]
                    tumor_depth = torch.where(mask, own, tumor_depth)
        hu = paint_pair(label, depth, tumor_depth, parenchyma, self._canvas(generator))
        if chance(generator, 0.3):
            hu, label = _repeated(hu), _repeated(label)
        return _clipped(hu, None, generator), label, label.gt(0).to(torch.uint8)

    def _draw_real(self, slab: Slab, generator: Generator) -> tuple[Tensor, Tensor, Tensor] | None:
        assert slab.image is not None
        z = int(torch.randint(slab.label.shape[-1], (), generator=generator))
        stack = self._stack(slab, z, generator)
        if stack is None:
            return None
        slices, voxels = stack
        background = _AIR_HU if slab.window is None else slab.window[0]
        hu = sample(slab.image, slices, voxels, "bilinear", background)
        label = sample(slab.label, slices, voxels, "nearest").to(torch.uint8)
        found = None
        if slab.found is not None and chance(generator, 0.6):
            found = sample(slab.found, slices, voxels, "nearest").to(torch.uint8)
        if chance(generator, 0.3):
            hu, label = _repeated(hu), _repeated(label)
            found = None if found is None else _repeated(found)
        canvas = self._canvas(generator)
        hu = _vary_contrast(hu, label, canvas)
        if chance(generator, self.implanted):
            hu, label = implant(hu, label, self.shapes, canvas)
        hu = _vary_scanner(hu, label, canvas)
        mask = (label > 0 if found is None else (found > 0) | (label > KIDNEY)).to(torch.uint8)
        return _clipped(hu, slab.window, generator), label, mask


def draw_plane(size: Sequence[int], spacing: Sequence[float], generator: Generator) -> Tensor:
    """Points (2, X, Y) of a rotated, scaled, shifted and bent slice, mm from its center."""
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(size, spacing, strict=False)]
    plane = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    angle, aspect = math.radians(uniform(generator, -20, 20)), uniform(generator, -0.08, 0.08)
    scale = math.exp(-uniform(generator, -0.22, 0.2))
    turn = torch.tensor(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    ) * torch.tensor([scale * math.exp(-aspect), scale * math.exp(aspect)])
    for axis, share in ((0, 0.5), (1, 0.1)):
        if chance(generator, share):
            turn[axis] *= -1
    shift = torch.tensor([uniform(generator, -15, 15), uniform(generator, -12, 12)])
    points = torch.einsum("ab,bxy->axy", turn, plane + shift[:, None, None])
    if chance(generator, 0.6):
        shape, length = (*size[:2], 1), uniform(generator, 25, 56)
        bend = smooth_field(shape, (*spacing[:2], 1.0), length, generator, channels=2)[..., 0]
        points = points + uniform(generator, 0, 4.4) * bend
    return points


def sample(
    volume: Tensor, slices: Sequence[int], voxels: Tensor, mode: str, outside: float = 0.0
) -> Tensor:
    """Samples slices of a volume at the same points of each.

    Args:
        volume: (X, Y, Z), of any dtype.
        slices: Their numbers along Z.
        voxels: (2, x, y), coordinates along X and Y.
        mode: "nearest" or "bilinear".
        outside: Value beyond the volume.

    Returns:
        (x, y, slices) float32.
    """
    size = torch.tensor(volume.shape[:2])
    low = torch.minimum(voxels.amin((1, 2)).floor().long().clamp(min=0), size - 1)
    high = torch.maximum(torch.minimum(voxels.amax((1, 2)).ceil().long() + 1, size), low + 1)
    (x, y), (to_x, to_y) = low.tolist(), high.tolist()
    same = len(set(slices)) == 1  # a single slice, repeated
    chosen = slices[:1] if same else slices
    part = torch.stack([volume[x:to_x, y:to_y, z] for z in chosen])[None].float() - outside
    place = (2 * (voxels - low[:, None, None]) + 1) / (high - low)[:, None, None] - 1
    grid = torch.stack([place[1], place[0]], dim=-1)[None].float()
    found = functional.grid_sample(part, grid, mode=mode, align_corners=False)
    found = found[0].permute(1, 2, 0) + outside
    return found.repeat(1, 1, len(slices)) if same else found


def _by_patient(slabs: Sequence[Slab]) -> Tensor:
    """How often each real slab is drawn: by the square root of the slices of its patient.

    Slabs with a lesion are drawn twice as often, since most real slices have none.
    """
    counts: dict[str, int] = {}
    slices = [0 if s.image is None else int(s.label.any(0).any(0).sum()) for s in slabs]
    for slab, count in zip(slabs, slices, strict=True):
        counts[slab.patient] = counts.get(slab.patient, 0) + count
    return torch.tensor(
        [
            (1 + int((s.label > KIDNEY).any())) * n * counts[s.patient] ** -0.5 if n else 0.0
            for n, s in zip(slices, slabs, strict=True)
        ]
    )


def _without_some(label: Tensor, phase: Phase, plain: bool, generator: Generator) -> Tensor:
    """Sometimes turns tumors into cysts or kidney, so that no shape alone means tumor."""
    if chance(generator, 0.6 if plain else 0.12):
        label = label.where(label != TUMOR, CYST if chance(generator, 0.5) else KIDNEY)
    if plain and chance(generator, 0.6):
        label = label.where(label != CYST, KIDNEY)
    if phase == Phase.NON_CONTRAST and chance(generator, 0.4):
        label = label.where(label != TUMOR, KIDNEY)
    return label


def _vary_contrast(hu: Tensor, label: Tensor, canvas: Canvas) -> Tensor:
    """Raises or lowers the contrast between cortex and medulla of real kidneys."""
    kidney = label == KIDNEY
    if not kidney.any() or not canvas.chance(0.35):
        return hu
    share = gaussian_blur(kidney.float(), [0.8, 0.8, 0.0])
    return hu + share * (canvas.uniform(0.5, 1.35) - 1) * (hu - hu[kidney].median())


def _vary_scanner(hu: Tensor, label: Tensor, canvas: Canvas) -> Tensor:
    """Changes the scale, adds noise, blurs, or removes contrast."""
    kidney = label == KIDNEY
    cortex = float(hu[kidney].quantile(0.8)) if kidney.any() else 0.0
    native = 0.04 if (label == TUMOR).any() else 0.3
    if cortex > _CONTRAST_HU and canvas.chance(native):
        level = canvas.uniform(22, 42)
        hu = torch.where(hu > level, level + (hu - level) * canvas.uniform(0.04, 0.2), hu)
        hu = hu + noise(canvas, canvas.uniform(6, 22))
    hu = hu * canvas.uniform(0.8, 1.2) + canvas.uniform(-12, 12)
    if canvas.chance(0.4):
        hu = hu + noise(canvas, canvas.uniform(1, 16))
    if canvas.chance(0.25):
        blur = canvas.uniform(0.3, 0.9)
        hu = gaussian_blur(hu, [blur, blur, 0.0])
    return hu


def _clipped(hu: Tensor, window: tuple[float, float] | None, generator: Generator) -> Tensor:
    """Clips to an archive's window, or to the window that it came with."""
    if window is None:
        weights = torch.tensor([share for _, share in _SHOWN])
        window = _SHOWN[int(torch.multinomial(weights, 1, generator=generator))][0]
    return hu if window is None else hu.clamp(*window)


def _repeated(stack: Tensor) -> Tensor:
    """Repeats the center slice in place of the others."""
    return stack[..., stack.shape[-1] // 2, None].expand_as(stack).clone()
