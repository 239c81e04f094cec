"""Whether what makes a method fast costs accuracy: its variants, measured on labeled CTs."""

from __future__ import annotations

from renalseg.runtime.cuda_runtime import ensure_cuda_runtime
from renalseg.runtime.process import prepare


def start_process() -> None:
    """Readies a process that measures, before it imports the libraries of networks."""
    prepare()
    ensure_cuda_runtime()
