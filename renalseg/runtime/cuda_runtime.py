"""Finds the CUDA runtime library that Holoscan is linked against.

Holoscan's core library cannot be loaded without ``libcudart.so.13``, not even where nothing runs
on a GPU; and where the MONAI Deploy SDK is installed, ``import monai`` imports Holoscan. A machine
with the CUDA toolkit has the library on the loader's path, and the CUDA build of torch brings it
along. On any other machine the wheel ``nvidia-cuda-runtime`` brings it, into a folder that the
loader does not search. Two remedies stand here:

- `ensure_cuda_runtime` loads it into this process; the programs of this project call it.
- ``python -m renalseg.runtime.cuda_runtime`` links it next to Holoscan's own libraries, once after
  installation, for programs of others, such as ``python -m monai.bundle run``.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from renalseg.errors import ConfigError

SONAME = "libcudart.so.13"
WHEEL = "nvidia-cuda-runtime>=13,<14"


def ensure_cuda_runtime() -> None:
    """Load the CUDA runtime, so that a later ``import holoscan`` or ``import monai`` finds it.

    Does nothing where Holoscan is not installed. The loader's own search goes first: a machine with
    CUDA uses the library that it came with. A library that is loaded once satisfies every later
    request for its name, which is why loading the wheel's by path is enough.

    Raises:
        ConfigError: Holoscan is installed, and neither the loader nor the wheel has the library.
    """
    if holoscan_folder() is None:
        return
    try:
        ctypes.CDLL(SONAME, mode=ctypes.RTLD_GLOBAL)
    except OSError as not_on_path:
        library = wheel_library()
        if library is None:
            raise ConfigError(
                f"Holoscan needs {SONAME}; found neither a CUDA 13 installation nor the wheel: "
                f"pip install '{WHEEL}'"
            ) from not_on_path
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def link_for_holoscan() -> Path | None:
    """Link the wheel's library into the folder that Holoscan's libraries search.

    Returns:
        The link; None where Holoscan or the wheel is not installed and there is nothing to link.
    """
    holoscan = holoscan_folder()
    library = wheel_library()
    if holoscan is None or library is None:
        return None
    link = holoscan / "lib" / SONAME
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(library, link.parent))
    return link


def wheel_library() -> Path | None:
    """Give the path of the wheel's library; None where the wheel is absent or of another CUDA."""
    found = (path for folder in _folders("nvidia") for path in folder.glob(f"*/lib/{SONAME}"))
    return next(found, None)


def holoscan_folder() -> Path | None:
    """Give the folder of the package `holoscan` without importing it; None where it is absent."""
    return next(iter(_folders("holoscan")), None)


def _folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


if __name__ == "__main__":
    sys.stdout.write(f"{link_for_holoscan() or 'nothing to link'}\n")
