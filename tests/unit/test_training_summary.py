from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from renalseg.errors import InputError
from renalseg.training.summary import save_summary

HISTORY = """epoch,loss,learning_rate,seconds,skipped_updates,dice,dice_kidney
1,1.5,0.001,2,0,,
2,1.2,0.002,2,0,0.7,0.7
"""


def test_a_training_without_validation_has_its_curves(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,loss,learning_rate\n1,1.5,0.001\n")
    assert imread(save_summary(tmp_path)).std() > 0


def test_patches_add_a_row(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    low = imread(save_summary(tmp_path)).shape[0]
    mask = np.zeros((2, 1, 8, 6), bool)
    mask[0, 0, 2:5, 2:4] = True  # the other patch has no outline
    np.savez(
        tmp_path / "validation.npz",
        image=np.arange(96.0).reshape(2, 8, 6),
        label=mask,
        pred=mask,
        dice=np.array([0.25, 1.0]),
        structures=np.array(["kidney"]),
    )
    assert imread(save_summary(tmp_path)).shape[0] > low


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        save_summary(tmp_path)
