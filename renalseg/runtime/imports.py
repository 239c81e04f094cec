"""A quick import of MONAI, for programs that segment and end.

``import monai`` imports all of MONAI, and with it whatever MONAI can make use of where it is
installed: ignite, matplotlib, scikit-image, TensorBoard and more. That takes longer than a study.
Nothing of it is needed to run a bundle, so the programs of this project import what a bundle names
and hide the rest from MONAI, which is written to do without. A bundle of somebody else's that does
need it makes the program start again with all of it.
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
        "ignite",
        "itk",
        "matplotlib",
        "pandas",
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

    For a program that owns its process and goes on to nothing else. Does nothing where MONAI is
    imported already, or where the environment asks for all of it.
    """
    global _quick
    if "monai" in sys.modules or os.environ.get(VARIABLE) == "all":
        return
    with _hide(_HIDDEN), _no_walk(), _no_collection():
        for name in _NEEDED:
            importlib.import_module(f"monai.{name}")
    _quick = True


def may_lack_imports(error: BaseException) -> bool:
    """Whether an error comes from what `import_monai_quickly` left out, so far as one can tell.

    What is wrong with a study, such as a codec that is not installed, is not of that kind.
    """
    if isinstance(error, InputError) or exit_code_for(error) == EXIT_RETRYABLE:
        return False
    return _quick and any(isinstance(cause, ImportError) for cause in causes(error, implicit=True))


def start_again_with_all() -> None:
    """Starts the program again in this process' place, with all of MONAI. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[VARIABLE] = "all"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class _Hider(MetaPathFinder):
    """Says of some modules that they are not installed."""

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
    """Keeps the garbage collector from looking for garbage among modules, now and later.

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
    """Keeps MONAI from walking through its folders to import every module it has."""
    walk = pkgutil.walk_packages
    pkgutil.walk_packages = lambda *_args, **_options: iter(())
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
