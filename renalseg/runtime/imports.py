"""A quick import of MONAI for programs that segment and exit.

``import monai`` imports all of MONAI and its installed optional dependencies: ignite, matplotlib,
scikit-image, TensorBoard and more. That takes longer than a study, and running a bundle needs none
of it. The programs of this project therefore import what a bundle names and hide the rest from
MONAI, which supports their absence. If a third-party bundle needs a hidden module, the program
starts again with all of MONAI.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from renalseg.errors import EXIT_RETRYABLE, InputError, causes, exit_code_for

VARIABLE = "RENALSEG_IMPORTS"
"""Environment variable; "all" imports MONAI in the usual way."""

# In the order in which MONAI itself imports them, which its circular imports depend on.
_NEEDED = ("apps", "data", "transforms", "inferers", "networks.blocks", "bundle.config_parser")
_HIDDEN = frozenset(
    [
        "cucim",
        "cupy",
        "cupyx",
        "einops",
        "huggingface_hub",
        "ignite",
        "itk",
        "jsonschema",
        "matplotlib",
        "pandas",
        "requests",
        "scipy.signal",
        "skimage",
        "tensorboard",
        "tensorboardX",
        "tifffile",
        "torch.utils.tensorboard",
    ]
)
_COLLECT_AFTER = 100_000  # new objects
_quick = False


def import_monai_quickly() -> None:
    """Imports MONAI without what running a bundle does not need.

    For programs that own their process and do nothing else afterward. Does nothing if MONAI is
    already imported, or if the environment asks for all of it.
    """
    global _quick
    if "monai" in sys.modules or os.environ.get(VARIABLE) == "all":
        return
    with _hide(_HIDDEN), _no_walk(), _no_collection():
        for name in _NEEDED:
            importlib.import_module(f"monai.{name}")
    _quick = True


def may_lack_imports(error: BaseException) -> bool:
    """Returns whether an error probably comes from what `import_monai_quickly` left out.

    Problems of a study, such as a codec that is not installed, do not count.
    """
    if isinstance(error, InputError) or exit_code_for(error) == EXIT_RETRYABLE:
        return False
    return _quick and any(isinstance(cause, ImportError) for cause in causes(error, implicit=True))


def start_again_with_all() -> None:
    """Restarts the program in this process with all of MONAI. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[VARIABLE] = "all"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class _Hider(MetaPathFinder):
    """Import finder that hides some modules."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.names or fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)
        return None


@contextmanager
def _hide(names: frozenset[str]) -> Iterator[None]:
    hider = _Hider(names)
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector away from modules, now and later.

    Later it also looks less often: by default each 700 new objects, where one table of the DICOM
    standard that highdicom loads has a million.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        gc.enable()


@contextmanager
def _no_walk() -> Iterator[None]:
    """Keeps MONAI from walking its folders to import every module."""
    walk = pkgutil.walk_packages
    pkgutil.walk_packages = lambda *_args, **_options: iter(())
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
