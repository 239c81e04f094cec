"""Accuracy of methods, and of their faster variants, measured on labeled CTs."""

from __future__ import annotations

from renalseg.runtime.cuda_runtime import ensure_cuda_runtime
from renalseg.runtime.process import prepare


def start_process() -> None:
    """Prepares a measuring process before it imports the libraries of networks."""
    prepare()
    ensure_cuda_runtime()
