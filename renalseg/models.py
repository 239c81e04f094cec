"""The two bundles of a run, loaded while something else is done."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from renalseg.bundle import Bundle
from renalseg.settings import Settings


class Models:
    """The localizer and the tumor bundle of a run; any number of studies can go through them.

    Loading begins at once, in the background, so that it costs nothing while a study is read. What
    it raises is raised where a bundle is asked for. As a context manager it stops loading at the
    end, so that a study that is refused is not kept waiting.

    Args:
        settings: Names and folder of the bundles, and the device.
        overrides: Values that replace those of the same names in the bundles' inference.yaml.
        progress: Whether sliding windows show a progress bar.
    """

    def __init__(
        self,
        settings: Settings,
        overrides: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        self.settings = settings
        self._progress = progress
        self._overrides = overrides
        # one thread: the bundle that is needed first comes first
        self._loader = ThreadPoolExecutor(1, "models")
        self._localizer = self._loader.submit(self._load, settings.localizer)
        self._tumor = self._loader.submit(self._load, settings.tumor)

    @property
    def localizer(self) -> Bundle:
        """The kidney bundle; waits until it is loaded."""
        return self._localizer.result()

    @property
    def tumor(self) -> Bundle:
        """The tumor bundle; waits until it is loaded."""
        return self._tumor.result()

    def check(self) -> None:
        """Waits for both bundles and raises what one of them raised."""
        self._localizer.result()
        self._tumor.result()

    def __enter__(self) -> Models:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the bundle that is being loaded, and loads no more."""
        self._loader.shutdown(cancel_futures=True)

    def _load(self, name: str) -> Bundle:
        settings = self.settings
        bundle = Bundle(settings.bundles / name, settings.device, self._progress, self._overrides)
        bundle.prepare()
        return bundle
