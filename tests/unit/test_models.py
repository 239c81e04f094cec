from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer, current_thread, main_thread
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from renalseg.errors import ConfigError
from renalseg.inference import models
from renalseg.inference.choice import Choice, Member
from renalseg.inference.methods import default_numbers
from renalseg.inference.models import Models
from renalseg.limits import EnsembleLimits, Outline

CHOICE = Choice(Path("bundles"), "kidney_x", "tumor_y", torch.device("cpu"))


class FakeBundle:
    made: list[FakeBundle]
    go: Event

    def __init__(self, root: Path, device: torch.device, progress: bool, overrides: Any) -> None:
        assert current_thread() is main_thread()
        if root.name in (overrides or {}):
            raise ConfigError(f"no {root.name}")
        self.name = root.name
        self.arguments = (device, progress, overrides)
        self.prepared = False
        FakeBundle.made.append(self)

    def prepare(self) -> None:
        assert FakeBundle.go.wait(20)
        if self.arguments[2]:
            raise RuntimeError(f"cannot compile {self.name}")
        self.prepared = True

    def __call__(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return MetaTensor((2 * image.as_tensor() * kidney.as_tensor()).byte(), affine=kidney.affine)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    FakeBundle.made, FakeBundle.go = [], Event()
    monkeypatch.setattr(models, "Bundle", FakeBundle)
    yield
    FakeBundle.go.set()


def test_bundles_are_there_at_once_and_compiled_meanwhile() -> None:
    loaded = Models(CHOICE)
    assert [bundle.name for bundle in FakeBundle.made] == ["kidney_x", "tumor_y"]
    assert not any(bundle.prepared for bundle in FakeBundle.made)
    FakeBundle.go.set()
    assert (loaded.localizer.name, loaded.tumor.name) == ("kidney_x", "tumor_y")
    assert all(bundle.prepared for bundle in FakeBundle.made)


def test_a_missing_bundle_is_told_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="no tumor_y"):
        Models(CHOICE, {"tumor_y": 1})


def volume(*values: float) -> MetaTensor:
    affine = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    return MetaTensor(torch.tensor(values)[None, None, None], affine=affine)


def test_a_refiner_outlines_the_kidneys_anew() -> None:
    FakeBundle.go.set()
    loaded = Models(replace(CHOICE, refiner="tumor_z"))
    assert [bundle.name for bundle in loaded.stages] == ["kidney_x", "tumor_z", "tumor_y"]
    refined = loaded.refine(volume(0.5, 1, 0), volume(1, 1, 1).byte())
    assert refined.tolist() == [[[[1, 2, 0]]]]


def test_a_tumor_is_one_that_the_refiner_sees_too() -> None:
    FakeBundle.go.set()
    loaded = Models(replace(CHOICE, refiner="tumor_z"))
    image, refined = volume(1, 1, 0, 1, 1, 0), volume(2, 1, 1, 1, 1, 0).byte()
    found = loaded.find_tumors(image, refined)
    assert found.tolist() == [[[[2, 2, 0, 1, 1, 0]]]]
    assert torch.equal(found.affine, image.affine)
    unconfirmed = Models(CHOICE).find_tumors(image, refined.clamp(max=1))
    assert unconfirmed.tolist() == [[[[2, 2, 0, 2, 2, 0]]]]


@pytest.mark.parametrize("refiner", [None, "tumor_z"])
def test_kidneys_end_between_the_outlines_of_the_mask_and_the_last_stage(
    refiner: str | None,
) -> None:
    FakeBundle.go.set()
    # a tumor counts where the refiner, if there is one, sees it, too
    image, mask = volume(1, 0.5, 0.5, 0, 0, 0), volume(2 if refiner else 1, 1, 1, 1, 1, 1).byte()
    for weight, expected in ((1.0, [2, 1, 1, 0, 0, 0]), (0.0, [2, 1, 1, 1, 1, 1])):
        numbers = replace(default_numbers(), outline=Outline(weight))
        loaded = Models(replace(CHOICE, refiner=refiner, numbers=numbers))
        assert loaded.find_tumors(image, mask).tolist() == [[[expected]]]


def test_without_a_refiner_kidneys_stay_as_they_are() -> None:
    FakeBundle.go.set()
    loaded = Models(CHOICE)
    assert len(loaded.stages) == 2
    kidney = volume(1, 1)
    assert loaded.refine(kidney, kidney) is kidney


@pytest.mark.parametrize(("refiner", "label"), [(None, 2), ("tumor_z", 1)])
def test_each_method_of_an_ensemble_has_its_own_refiner(
    refiner: str | None, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it confirms nothing, so that the second method has no tumor, and the mean is a half."""
    FakeBundle.go.set()
    find = FakeBundle.__call__

    def call(self: FakeBundle, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        return kidney if self.name == "tumor_z" else find(self, image, kidney)

    monkeypatch.setattr(FakeBundle, "__call__", call)
    limits = EnsembleLimits(probability=0.5, min_lesion_mm3=0.0)
    loaded = Models(
        replace(
            CHOICE,
            others=(Member(refiner, "tumor_w"),),
            numbers=replace(CHOICE.numbers, ensemble=limits),
        )
    )
    names = ("kidney_x", "tumor_y", refiner, "tumor_w")
    assert [bundle.name for bundle in loaded.stages] == [name for name in names if name]
    image, kidney = volume(1, 1), volume(1, 1).byte()
    assert loaded.refine(image, kidney) is kidney
    assert loaded.find_tumors(image, kidney).tolist() == [[[[label, label]]]]
    assert loaded.find_unrefined(image, kidney).tolist() == [[[[2, 2]]]]


def test_given_kidneys_go_to_the_tumor_stage_alone() -> None:
    FakeBundle.go.set()
    alone = replace(CHOICE, refiner="tumor_z")
    image, kidney = volume(1, 0), volume(1, 1).byte()
    assert Models(alone).find_unrefined(image, kidney).tolist() == [[[[2, 0]]]]


def test_what_compiling_raises_is_raised_where_the_bundle_is_asked_for() -> None:
    loaded = Models(CHOICE, {"engine": "torch"})
    FakeBundle.go.set()
    with pytest.raises(RuntimeError, match="cannot compile kidney_x"):
        _ = loaded.localizer
    with pytest.raises(RuntimeError, match="cannot compile"):
        loaded.check()


def test_a_run_that_ends_early_compiles_only_what_it_began() -> None:
    with Models(CHOICE):
        Timer(0.2, FakeBundle.go.set).start()  # the first is being compiled until then
    assert [bundle.prepared for bundle in FakeBundle.made] == [True, False]
