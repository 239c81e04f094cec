"""Converts the networks for OpenVINO while an image is built, so that no run has to do it.

The container's root file system is read-only, and a run without a cache would convert its two
networks every time. They go to `renalseg.inference.engine.cache_dir`, a folder of the image.
Networks whose input size differs from CT to CT are left out, except those that work on stacks of
slices, which have few sizes.

    RENALSEG_CACHE=/opt/holoscan/cache python -m tools.image.networks --bundles bundles
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.runtime.process import prepare

if TYPE_CHECKING:
    from renalseg.inference.bundle import Bundle

LARGEST = 192
"""Pixels of the slices that are prepared for: a kidney of 19 cm in plane at the coarsest pixels.

Where slices have a least size, two steps more than that.
"""


def convert(bundles: Path) -> list[str]:
    """Convert both networks of each method.

    Args:
        bundles: Folder with the bundles.

    Returns:
        The methods.

    Raises:
        ConfigError: A bundle is missing or broken.
    """
    from renalseg.inference.models import Models
    from renalseg.settings import Settings, available_methods

    methods = available_methods(bundles)
    for method in methods:
        with Models(
            Settings.resolve(method=method, device="cpu", bundles=bundles).choice
        ) as models:
            models.check()
            for bundle in models.bundles:
                convert_stacks(bundle)
    return methods


def convert_stacks(bundle: Bundle) -> None:
    """Run the network of a bundle that takes stacks of slices once on each of their sizes.

    Args:
        bundle: On the CPU.
    """
    import torch

    from renalseg.inference.inferers import autocast

    enabled = bool(getattr(bundle.inferer, "enabled", False))
    with torch.inference_mode(), autocast(bundle.device, enabled):
        for shape in stack_shapes(bundle):
            bundle.network(torch.zeros(shape))


def stack_shapes(bundle: Bundle) -> Iterator[tuple[int, int, int, int]]:
    """Input shapes (batch, slices, X, Y) of the network of a bundle that takes stacks of slices."""
    from renalseg.inference.engine import OpenVINOEngine
    from renalseg.inference.slice_inferers import SliceStackInferer

    inferer = getattr(bundle.inferer, "inferer", bundle.inferer)  # within that of half precision
    stacks = isinstance(inferer, SliceStackInferer) and inferer.multiple > 1
    if not stacks or not isinstance(bundle.network, OpenVINOEngine):
        return
    step = inferer.multiple
    sides = (
        range(max(step, least), max(LARGEST, least + 2 * step) + 1, step) for least in inferer.least
    )
    for x, y in product(*sides):
        yield inferer.batch_size, inferer.slices + inferer.beside, x, y


def main(argv: Sequence[str] | None = None) -> None:
    """The program; the Dockerfile runs it."""
    parser = argparse.ArgumentParser(description="Convert the networks of all methods.")
    parser.add_argument("--bundles", type=Path, required=True, help="folder with the bundles")
    options = parser.parse_args(argv)
    prepare()
    sys.stdout.write(f"converted: {', '.join(convert(options.bundles))}\n")


if __name__ == "__main__":
    main()
