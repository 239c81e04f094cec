"""Every bundle trains, is evaluated and infers, by the commands of its model card."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.data import MetaTensor

from renalseg.cases import load_case
from renalseg.errors import InputError
from renalseg.inference.bundle import Bundle
from renalseg.synthesis.library import save_anatomy
from renalseg.training.export import export_bundle
from renalseg.training.history import read_history
from tests.factories import slabs
from tests.factories.anatomies import box_anatomy

BUNDLES = Path(__file__).parents[2] / "bundles"
CPU = torch.device("cpu")
AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])

# What makes each training and inference small.
SMALL: dict[str, dict[str, Any]] = {
    # At the bottom 6 x 6 pixels. torch's bfloat16 gradient of a weight (3, 3, 1) over 2 x 2 pixels,
    # as of [32, 32, 8], is NaN now and then.
    "kidney_convlstm": {"roi_size": [96, 96, 8]},
    "kidney_mrb": {"roi_size": [48, 48, 3]},
    "kidney_msvnet": {"roi_size": [32, 32, 16]},
    "kidney_resvnet": {"roi_size": [32, 32, 32]},
    "kidney_sehdc": {"roi_size": [32, 32, 16]},
    "tumor_convlstm": {"roi_size": [96, 96, 8]},
    "tumor_mrb": {"roi_size": [32, 32, 32]},
    "tumor_msvnet": {"size": 32, "val_cases": 8},
    "tumor_resvnet": {"box_size": [32, 32, 16]},
    "tumor_sehdc": {"roi_size": [32, 32, 16]},
    "tumor_unet": {"field": [96, 64]},
}
SHORT = {"epochs": 1, "epoch_length": 2, "batch_size": 2, "workers": 0, "val_cases": 12}
every_bundle = pytest.mark.parametrize("name", sorted(SMALL))
every_paper = pytest.mark.parametrize("name", sorted(SMALL.keys() - {"tumor_unet"}))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    for i in range(2):
        save_anatomy(folder / f"box_{i}.npz", box_anatomy())
    slabs.save_all(folder / "slabs")
    return folder


def data_of(name: str, library: Path) -> dict[str, str]:
    """What a bundle trains on."""
    if name != "tumor_unet":
        return {"data": str(library)}
    return {"data": str(library / "slabs"), "folds": str(library / "slabs" / "folds.yaml")}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT, its label and its kidney mask, in the three folders that configs name."""
    root = tmp_path_factory.mktemp("data")
    label = np.zeros((40, 30, 24), np.uint8)
    label[6:16, 10:20, 4:20] = label[26:36, 10:20, 4:20] = 1
    label[8:12, 12:16, 8:12] = 2
    hu = np.random.default_rng(0).normal(0, 20, label.shape) + np.array([0, 180, 80])[label]
    volumes = {"cases": hu.astype(np.int16), "labels": label, "kidneys": (label > 0).astype("u1")}
    for folder, volume in volumes.items():
        (root / folder).mkdir()
        nib.save(nib.Nifti1Image(volume, AFFINE), root / folder / "one.nii.gz")
    return root


def configs(bundle: Path, *names: str) -> list[str]:
    return [str(bundle / "configs" / f"{name}.yaml") for name in names]


def run(kind: str, bundle: Path, *names: str, **settings: Any) -> None:
    """Runs configs of a bundle as the model zoo's tests do, which check what it must provide."""
    workflow = ConfigWorkflow(
        config_file=configs(bundle, *names),
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=str(bundle / "configs" / "logging.conf"),
        workflow_type=kind,
        bundle_root=str(bundle),
        **settings,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    workflow.finalize()


def train(name: str, library: Path, out: Path, *overlays: str, **settings: Any) -> dict[str, Any]:
    run(
        "train",
        BUNDLES / name,
        *("train", *overlays),
        output_dir=str(out),
        device="$torch.device('cpu')",
        **data_of(name, library) | SHORT | SMALL[name] | settings,
    )
    return torch.load(out / "checkpoint.pt", weights_only=False)


def infer_and_score(bundle: Path, cases: Path, out: Path) -> None:
    """Runs a bundle with the settings that it has, but for two inputs that take long."""
    least = {
        "kidney_resvnet": {"grid_size": [32, 32, 32]},
        "tumor_convlstm": {"roi_size": [96, 96, 8]},
    }
    small = least.get("_".join(bundle.name.split("_")[:2]), {})
    run(
        "infer",
        bundle,
        *("inference", "evaluate"),
        dataset_dir=str(cases / "cases"),
        label_dir=str(cases / "labels"),
        output_dir=str(out),
        device="$torch.device('cpu')",
        engine="torch",  # converting ten networks takes longer than the rest of the test
        **({"kidney_dir": str(cases / "kidneys")} if bundle.name.startswith("tumor_") else {}),
        **small,
    )


@every_bundle
def test_a_bundle_trains_and_then_segments_and_scores_a_case(
    name: str, library: Path, cases: Path, tmp_path: Path
) -> None:
    checkpoint = train(name, library, tmp_path / "train")
    assert checkpoint["trainer"]["iteration"] == 2
    moments = checkpoint["optimizer"]["state"].values()
    moved = [next(m for m in state.values() if m is not None and m.dim()) for state in moments]
    groups = checkpoint["optimizer"]["param_groups"]
    assert len(moved) == sum(len(group["params"]) for group in groups)
    assert all(torch.isfinite(moment).all() for moment in moved)
    (epoch,) = read_history(tmp_path / "train")
    scored = {
        "tumor_msvnet": {"tumor"},
        "tumor_resvnet": {"tumor"},
        "tumor_unet": {"kidney", "tumor", "cyst"},
    }.get(name, {"kidney"} if name.startswith("kidney_") else {"kidney", "tumor"})
    assert {key[5:] for key in epoch if key.startswith("dice_")} == scored
    assert (tmp_path / "train" / "best.pt").is_file()

    bundle = export_bundle(tmp_path / "train", BUNDLES / name, tmp_path / f"{name}_own")
    infer_and_score(bundle, cases, tmp_path / "out")
    pred = nib.load(tmp_path / "out" / "one.nii.gz")
    values = np.asanyarray(pred.dataobj)
    assert values.shape == (40, 30, 24)
    assert values.dtype == np.uint8
    assert set(np.unique(values)) <= ({0, 1} if name.startswith("kidney_") else {0, 1, 2, 3})
    np.testing.assert_allclose(pred.affine, AFFINE)
    with (tmp_path / "out" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["case"] == "one"
    assert ("tumor" in row) == name.startswith("tumor_")


@every_paper
def test_the_schedule_of_the_paper_trains_too(name: str, library: Path, tmp_path: Path) -> None:
    checkpoint = train(name, library, tmp_path, "paper", width=4, val_every=0)
    assert checkpoint["trainer"]["iteration"] == 2


@pytest.mark.slow
@every_paper
def test_what_was_trained_as_in_the_paper_is_exported_and_segments(
    name: str, library: Path, cases: Path, tmp_path: Path
) -> None:
    train(name, library, tmp_path / "train", "paper", val_every=0)
    bundle = export_bundle(tmp_path / "train", BUNDLES / name, tmp_path / f"{name}_paper")
    infer_and_score(bundle, cases, tmp_path / "out")
    assert (tmp_path / "out" / "metrics.csv").is_file()


def test_a_training_goes_on_where_it_stopped(library: Path, tmp_path: Path) -> None:
    first = train("kidney_sehdc", library, tmp_path, "paper", width=4)
    checkpoint = train("kidney_sehdc", library, tmp_path, "paper", width=4, epochs=2)
    assert checkpoint["trainer"]["iteration"] == 4
    assert checkpoint["scheduler"]["plateau"]["last_epoch"] == 2
    assert all(state["step"] == 4 for state in checkpoint["optimizer"]["state"].values())
    assert any(
        not torch.equal(weight, first["network"][name])
        for name, weight in checkpoint["network"].items()
    )


def test_without_a_library_training_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        train("kidney_sehdc", tmp_path / "absent", tmp_path)
    causes = [caught.value.__cause__]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, InputError) and "absent" in str(cause) for cause in causes)


@pytest.mark.slow
@every_bundle
def test_two_processes_train_one_network(name: str, library: Path, tmp_path: Path) -> None:
    weights = BUNDLES / name / "models" / "model.pt"
    start = {"start_from": weights, "learning_rate": 0.0}
    settings = SHORT | {"batch_size": 1} | SMALL[name] | start
    process = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
            *("-m", "monai.bundle", "run", "--bundle_root", BUNDLES / name),
            *("--config_file", str(configs(BUNDLES / name, "train", "multi_gpu_train"))),
            *(
                part
                for key, value in data_of(name, library).items()
                for part in (f"--{key}", value)
            ),
            *("--output_dir", tmp_path),
            *(part for key, value in settings.items() for part in (f"--{key}", str(value))),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert checkpoint["trainer"]["iteration"] == 2
    for key, weight in torch.load(weights, weights_only=True).items():
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(checkpoint["network"][key], weight.float())


@pytest.mark.slow
def test_plain_monai_gives_the_voxels_that_renalseg_gives(cases: Path) -> None:
    """As docs/how-to/bundles.md has it: paths in, a label map on their grid out."""
    root, ct = BUNDLES / "kidney_resvnet", cases / "cases" / "one.nii.gz"
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    settings = {"grid_size": [32, 32, 32], "engine": "torch"}
    for name, value in {**settings, "bundle_root": str(root), "device": CPU}.items():
        parser[name] = value
    parts = ("preprocessing", "inferer", "postprocessing", "network")
    preprocessing, inferer, postprocessing, network = map(parser.get_parsed_content, parts)
    case = preprocessing({"image": str(ct)})
    with torch.inference_mode():
        case["pred"] = inferer(case["image"].as_tensor()[None], network)[0]
    case["pred"] = MetaTensor(case["pred"], affine=case["image"].affine)
    label = postprocessing(case)["pred"]
    expected = Bundle(root, CPU, overrides=settings)(load_case(ct))
    assert label.shape == (1, *nib.load(ct).shape)
    assert torch.equal(label.as_tensor(), expected.as_tensor())


@pytest.mark.slow
def test_two_processes_reach_what_one_reaches(library: Path, tmp_path: Path) -> None:
    """Both see as many patches; the Dice of the same validation patches differs by noise."""
    settings = SHORT | {"roi_size": [32, 32, 16], "width": 8, "epochs": 3, "epoch_length": 20}
    settings |= {"learning_rate": 0.01, "data": str(library), "val_every": 3}
    reached = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        settings["batch_size"] = 4 // processes
        several = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
        overlays = ("train", "multi_gpu_train") if processes > 1 else ("train",)
        process = subprocess.run(
            [
                *(sys.executable, *(several if processes > 1 else ())),
                *("-m", "monai.bundle", "run", "--bundle_root", BUNDLES / "kidney_sehdc"),
                *("--config_file", str(configs(BUNDLES / "kidney_sehdc", *overlays))),
                *("--output_dir", out),
                *(part for key, value in settings.items() for part in (f"--{key}", str(value))),
            ],
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert process.returncode == 0, process.stderr[-3000:]
        reached.append(read_history(out)[-1]["dice"])
    assert min(reached) > 0.5
    assert abs(reached[0] - reached[1]) < 0.1
