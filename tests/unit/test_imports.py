from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BEGIN = (
    "from renalseg.runtime.imports import *; "
    "from renalseg.runtime.imports import VARIABLE; import sys, os; "
)
NEEDS_SCIPY_SIGNAL = (
    "import torch; from monai.transforms import UltrasoundConfidenceMapTransform as T; "
    "T(mode='RF')(torch.rand(1, 8, 8))"
)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "program.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, script, "an argument"], capture_output=True, text=True, timeout=120
    )


def test_what_a_bundle_does_not_need_is_not_imported(tmp_path: Path) -> None:
    done = run(
        BEGIN + "import_monai_quickly(); import monai.transforms, monai.inferers, monai.bundle\n"
        "print(sorted({'ignite', 'matplotlib', 'skimage', 'tensorboard'} & set(sys.modules)))",
        tmp_path,
    )
    assert done.stdout == "[]\n", done.stderr


def test_what_is_hidden_from_monai_can_still_be_imported(tmp_path: Path) -> None:
    done = run(
        BEGIN + "import_monai_quickly()\n"
        "import ignite.engine, matplotlib.figure; from monai.handlers import StatsHandler\n"
        "from monai.engines import SupervisedEvaluator; print('imported')",
        tmp_path,
    )
    assert done.stdout == "imported\n", done.stderr


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


def test_an_error_of_another_kind_does_not_start_a_program_again(tmp_path: Path) -> None:
    done = run(
        BEGIN + "import_monai_quickly()\n"
        "try: 1 / 0\nexcept Exception as error: print(may_lack_imports(error))",
        tmp_path,
    )
    assert done.stdout == "False\n", done.stderr


def test_an_error_after_a_full_import_does_not_start_a_program_again(tmp_path: Path) -> None:
    done = run(
        BEGIN + "os.environ[VARIABLE] = 'all'; import_monai_quickly()\n"
        "print(may_lack_imports(ImportError()), 'monai' in sys.modules)",
        tmp_path,
    )
    assert done.stdout == "False False\n", done.stderr


def test_a_study_that_is_refused_does_not_start_a_program_again(tmp_path: Path) -> None:
    done = run(
        BEGIN + "from renalseg.errors import *; import_monai_quickly()\n"
        "for kind in (InputError, ConfigError):\n"
        "    error = kind(); error.__cause__ = ImportError()\n"
        "    print(may_lack_imports(error))",
        tmp_path,
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
