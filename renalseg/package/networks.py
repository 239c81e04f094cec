"""Converts the networks for OpenVINO while an image is built, so that no run has to.

The container's root file system is read-only, and a run that keeps nothing would convert its two
networks anew each time. They go to `renalseg.engine.cache_dir`, which is a folder of the image.

    RENALSEG_CACHE=/opt/holoscan/cache python -m renalseg.package.networks --bundles bundles
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from renalseg.process import prepare


def convert(bundles: Path) -> list[str]:
    """Convert both networks of each method, where the method has a fixed input.

    Args:
        bundles: Folder with the bundles.

    Returns:
        The methods.

    Raises:
        ConfigError: A bundle is missing or broken.
    """
    from renalseg.models import Models
    from renalseg.settings import Settings, available_methods

    methods = available_methods(bundles)
    for method in methods:
        with Models(Settings.resolve(method=method, device="cpu", bundles=bundles)) as models:
            models.check()
    return methods


def main(argv: Sequence[str] | None = None) -> None:
    """The program; the Dockerfile runs it."""
    parser = argparse.ArgumentParser(description="Convert the networks of all methods.")
    parser.add_argument("--bundles", type=Path, required=True, help="folder with the bundles")
    options = parser.parse_args(argv)
    prepare()
    sys.stdout.write(f"converted: {', '.join(convert(options.bundles))}\n")


if __name__ == "__main__":
    main()
