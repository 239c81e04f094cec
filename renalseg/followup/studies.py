"""Results for a comparison: those that are there, and those that are made first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from renalseg import pipeline
from renalseg.errors import ConfigError, InputError
from renalseg.findings.findings import Findings, find
from renalseg.findings.followup.change import Errors
from renalseg.inference.models import Models
from renalseg.output.folder import RESULT_FILE
from renalseg.output.stored import Stored, read_stored
from renalseg.runtime.progress import announce
from renalseg.settings import Settings


class Program:
    """What segments studies, loaded only if one has to be; a context manager.

    Args:
        choices: As `Settings.resolve` takes them.
    """

    def __init__(self, **choices: Any) -> None:
        self._choices = choices
        self._settings: Settings | None = None
        self._models: Models | None = None

    def __enter__(self) -> Program:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends what is being compiled."""
        if self._models is not None:
            self._models.__exit__()

    @property
    def settings(self) -> Settings:
        """What runs.

        Raises:
            ConfigError: A method, bundle, device or name to set does not exist.
        """
        if self._settings is None:
            self._settings = Settings.resolve(**self._choices)
        return self._settings

    @property
    def models(self) -> Models:
        """The networks."""
        if self._models is None:
            self._models = Models(self.settings.choice)
        return self._models

    def result(self, source: Path, ct_in: Path | None, study: str | None, out_dir: Path) -> Stored:
        """Reads a result, or segments a study.

        Args:
            source: Folder with a result, or a study.
            ct_in: The CT of the result, if it is at hand; a study is its own.
            study: Which study of several.
            out_dir: Gets the result of a study that is segmented.

        Raises:
            InputError: It is neither.
        """
        if (source / RESULT_FILE).is_file():
            return read_stored(source, ct_in, study)
        if ct_in is not None:
            raise InputError(f"Expected {RESULT_FILE} in {source}, whose CT is given, found none")
        pipeline.run(source, out_dir, self.models, self.settings)
        return read_stored(out_dir, source, study)

    def errors(self, stored: Stored, count: int) -> Mapping[int, Errors]:
        """Measures the errors of a result; none where nothing is to be repeated.

        Args:
            stored: The result.
            count: How many times its CT is segmented again.

        Raises:
            ConfigError: The method is another than that of the result.
        """
        if not count or not stored.segments:
            return {}
        if stored.ct is None:
            announce("Warning: without the CT of a result its error is bounded, not measured")
            return {}
        if stored.run["fingerprint"] != self.settings.choice.fingerprint:
            raise ConfigError(
                f"Expected the method of the result with --repeat, {stored.run['algorithm']} with "
                f"the fingerprint {stored.run['fingerprint']}, got "
                f"{self.settings.choice.algorithm} with {self.settings.choice.fingerprint}"
            )
        from renalseg.followup.repeats import measure_errors

        return measure_errors(stored.time, self._segment, count)

    def _segment(self, image: MetaTensor) -> Findings:
        kidney = self.models.find_kidneys(image)
        pred = self.models.find_tumors(image, kidney)
        return find(image, pred, self.settings.choice.numbers)
