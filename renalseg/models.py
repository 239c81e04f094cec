"""The two bundles of a run, compiled while something else is done."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from renalseg.bundle import Bundle
from renalseg.settings import Settings


class Models:
    """The localizer and the tumor bundle of a run; any number of studies can go through them.

    The bundles are read at once. What their engines compile is compiled in the background, so that
    it costs nothing while a study is read; what that raises is raised where a bundle is asked for.
    As a context manager it ends that work early, so that a study that is refused does not wait.

    Args:
        settings: Names and folder of the bundles, and the device.
        overrides: Values that replace those of the same names in the bundles' inference.yaml.
        progress: Whether sliding windows show a progress bar.

    Raises:
        ConfigError: A bundle is missing or broken.
    """

    def __init__(
        self,
        settings: Settings,
        overrides: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        self.settings = settings
        # Not in the background: MONAI looks classes up by a walk through the imported modules,
        # which must not grow meanwhile.
        bundles = [
            Bundle(folder, settings.device, progress, overrides) for folder in settings.folders
        ]
        # one thread: the bundle that is needed first comes first
        self._compiler = ThreadPoolExecutor(1, "models")
        self._localizer, self._tumor = (
            self._compiler.submit(_prepare, bundle) for bundle in bundles
        )

    @property
    def localizer(self) -> Bundle:
        """The kidney bundle; waits until it is compiled."""
        return self._localizer.result()

    @property
    def tumor(self) -> Bundle:
        """The tumor bundle; waits until it is compiled."""
        return self._tumor.result()

    def check(self) -> None:
        """Waits for both bundles and raises what one of them raised."""
        for bundle in (self._localizer, self._tumor):
            bundle.result()

    def __enter__(self) -> Models:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the bundle that is being compiled, and compiles no more."""
        self._compiler.shutdown(cancel_futures=True)


def _prepare(bundle: Bundle) -> Bundle:
    bundle.prepare()
    return bundle
