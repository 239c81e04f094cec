from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BEGIN = (
    "from renalseg.runtime.imports import *; "
    "from renalseg.runtime.imports import VARIABLE; import sys, os; "
)
NEEDS_SCIPY_SIGNAL = (
    "import torch; from monai.transforms import UltrasoundConfidenceMapTransform as T; "
    "T(mode='RF')(torch.rand(1, 8, 8))"
)
# One program for what needs MONAI once; importing it takes seconds.
QUICK = f"""{BEGIN}
import json
from renalseg.errors import ConfigError, InputError
import_monai_quickly()
import monai.transforms, monai.inferers, monai.bundle
unneeded = {{"ignite", "matplotlib", "skimage", "tensorboard"}}
found = {{"imported": sorted(unneeded & set(sys.modules))}}
try:
    1 / 0
except Exception as error:
    found["fault lacks imports"] = may_lack_imports(error)
for kind in (InputError, ConfigError):
    error = kind()
    error.__cause__ = ImportError()
    found[kind.__name__ + " lacks imports"] = may_lack_imports(error)
try:
    import ignite.engine, matplotlib.figure
    from monai.handlers import StatsHandler
    from monai.engines import SupervisedEvaluator
    found["lacking afterward"] = None
except ImportError as error:
    found["lacking afterward"] = str(error)
print(json.dumps(found))
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "program.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, script, "an argument"], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program says that imported MONAI quickly."""
    done = run(QUICK, tmp_path_factory.mktemp("quick"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_a_bundle_does_not_need_is_not_imported(quick: dict[str, Any]) -> None:
    assert quick["imported"] == []


def test_what_is_hidden_from_monai_can_still_be_imported(quick: dict[str, Any]) -> None:
    assert quick["lacking afterward"] is None


def test_a_program_that_lacks_an_import_starts_again_with_all_of_them(tmp_path: Path) -> None:
    done = run(
        BEGIN + "import_monai_quickly(); print('started', sys.argv[1])\n"
        f"try: {NEEDS_SCIPY_SIGNAL}; print('done')\n"
        "except Exception as error:\n"
        "    assert may_lack_imports(error)\n"
        "    start_again_with_all()",
        tmp_path,
    )
    assert done.stdout.splitlines() == ["started an argument", "started an argument", "done"]
    assert done.returncode == 0


def test_an_error_of_another_kind_does_not_start_a_program_again(quick: dict[str, Any]) -> None:
    assert quick["fault lacks imports"] is False


def test_an_error_after_a_full_import_does_not_start_a_program_again(tmp_path: Path) -> None:
    done = run(
        BEGIN + "os.environ[VARIABLE] = 'all'; import_monai_quickly()\n"
        "print(may_lack_imports(ImportError()), 'monai' in sys.modules)",
        tmp_path,
    )
    assert done.stdout == "False False\n", done.stderr


def test_a_study_that_is_refused_does_not_start_a_program_again(quick: dict[str, Any]) -> None:
    assert quick["InputError lacks imports"] is False
    assert quick["ConfigError lacks imports"] is True
