"""How the programs end when something is wrong, and what they say and leave behind then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories.bundles import write_bundles
from tests.factories.series import edit_all, write_case

posix = pytest.mark.skipif(os.name != "posix", reason="needs limits and signals of POSIX")

SECRETS = {
    "PatientName": "Zyxwvut^Quarkling",
    "PatientID": "PID-77341-SECRET",
    "PatientBirthDate": "19470229",  # no such day, which pydicom warns of
    "AccessionNumber": "ACC-99-SECRET-TOO-LONG-FOR-ITS-VR",
    "ReferringPhysicianName": "Doktor^Vorlaut",
    "PatientSex": "UNFUG",
}

# Runs `renalseg` in a process with a limit: its name, its value, the arguments.
LIMITED = """
import resource, sys
name, value = sys.argv[1], int(sys.argv[2])
resource.setrlimit(getattr(resource, name), (value, resource.RLIM_INFINITY))
from renalseg.commands.main import program
sys.argv[1:] = sys.argv[3:]
program()
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_case(tmp_path / "in", attributes=SECRETS)
    return tmp_path / "in"


def arguments(study: Path, out: Path, bundles: Path) -> list[str]:
    return ["run", str(study), str(out), "-m", str(bundles), "--method", "tiny", "--device", "cpu"]


def start(*command: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(*command, **environment)
    out, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def no_secret(done: subprocess.CompletedProcess[str]) -> None:
    said = done.stdout + done.stderr
    parts = {part for value in SECRETS.values() for part in (value, *value.split("^"))}
    assert [part for part in parts if part in said] == []


def succeed(study: Path) -> tuple[str, ...]:
    return ()


def refuse(study: Path) -> tuple[str, ...]:
    """A header with a value that is no number, which the error of the library quotes."""
    secret = f"{SECRETS['PatientID']}\\1"

    def spoil(dataset: object) -> None:
        dataset.add_new("PixelSpacing", "LO", secret)  # type: ignore[attr-defined]

    edit_all(sorted(study.iterdir()), spoil)
    return ()


def crash(study: Path) -> tuple[str, ...]:
    """A fault of the program that quotes a header."""
    return (
        "import renalseg.dicom.write.seg as seg; import renalseg.dicom.write.source as source\n"
        "def fail(headers): raise KeyError(str(headers[0].PatientName))\n"
        "source.complete_headers = seg.complete_headers = fail\n",
    )


@pytest.mark.parametrize("json_log", [False, True])
@pytest.mark.parametrize(("spoil", "code"), [(succeed, 0), (refuse, 2), (crash, 1)])
def test_nothing_that_names_the_patient_is_said(
    study: Path,
    bundles: Path,
    tmp_path: Path,
    spoil: Callable[[Path], tuple[str, ...]],
    code: int,
    json_log: bool,
) -> None:
    patch = "".join(spoil(study))
    program = f"{patch}\nfrom renalseg.commands.main import program; program()"
    extra = ["-v", *(["--log-json"] if json_log else [])]
    done = run("-c", program, *arguments(study, tmp_path / "out", bundles), *extra)
    assert done.returncode == code, done.stderr
    no_secret(done)
    if json_log:
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert lines[-1]["event"] == "ended"
        assert lines[-1]["exit_code"] == code
        assert not any(str(study) in line.get("message", "") for line in lines)
        stages = [line for line in lines if line["event"] == "stage ended"]
        assert all(line["seconds"] >= 0 and len(line["study"]) == 16 for line in stages)
        assert bool(stages) == (code != 2)
    elif code:
        assert "Traceback" in done.stderr


@posix
def test_a_full_disk_is_retryable_and_leaves_nothing(
    study: Path, bundles: Path, tmp_path: Path
) -> None:
    """The largest file that may be written is smaller than the SEG."""
    call = arguments(study, tmp_path / "out", bundles)
    done = run("-c", LIMITED, "RLIMIT_FSIZE", 2000, *call)
    assert done.returncode == 75, done.stderr
    assert "the disk is full" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@posix
@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk"
)
def test_a_small_disk_is_retryable_and_keeps_earlier_results(
    study: Path, bundles: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        out = disk / "out"
        out.mkdir()
        (out / "result.json").write_text("earlier")
        (disk / "filler").write_bytes(b"0" * 52_000)
        done = run("-m", "renalseg.commands.main", *arguments(study, out, bundles))
        assert done.returncode == 75, done.stderr
        assert "the disk is full" in done.stderr
        assert [path.name for path in out.iterdir()] == ["result.json"]
        assert (out / "result.json").read_text() == "earlier"
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "out"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@posix
@pytest.mark.parametrize("mebibytes", [400, pytest.param(1700, marks=pytest.mark.slow)])
def test_out_of_memory_is_retryable_and_leaves_nothing(
    study: Path, bundles: Path, tmp_path: Path, mebibytes: int
) -> None:
    call = arguments(study, tmp_path / "out", bundles)
    done = run("-c", LIMITED, "RLIMIT_AS", mebibytes << 20, *call)
    if done.returncode == 0 and mebibytes > 400:
        pytest.skip("this is enough memory on this machine")
    assert done.returncode == 75, done.stderr
    assert "out of memory" in done.stderr
    assert not (tmp_path / "out").exists()


@posix
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_signal_leaves_nothing(
    study: Path, bundles: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The run is stopped inside native code's place: a stage that does not return."""
    program = (
        "import time, signal\n"
        "def wait(*_, **__): print('writing', flush=True); time.sleep(600)\n"
        "import renalseg.output.objects as objects; objects.build_seg = wait\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from renalseg.commands.main import program; program()"
    )
    # The libraries are imported too early here: they must start no thread, as in a real run.
    call = arguments(study, tmp_path / "out", bundles)
    process = start("-c", program, *call, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(number)
    began = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == code, error
    assert not (tmp_path / "out").exists()
    hidden = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    if number != signal.SIGKILL:
        assert hidden == []
        assert f"ended by {number.name}" in error


@posix
def test_a_home_that_cannot_be_written_is_no_obstacle(
    study: Path, bundles: Path, tmp_path: Path
) -> None:
    done = run(
        *("-m", "renalseg.commands.main", *arguments(study, tmp_path / "out", bundles)),
        *("--overlay", tmp_path / "picture"),
        HOME="/nonexistent",
        RENALSEG_CACHE="/proc/nowhere",
        XDG_CACHE_HOME="/proc/nowhere",
        XDG_CONFIG_HOME="/proc/nowhere",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "result.json").is_file()
    assert "nonexistent" not in done.stderr
    assert "atplotlib" not in done.stderr


@posix
@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount read-only"
)
def test_a_read_only_system_and_input_are_enough(
    study: Path, bundles: Path, tmp_path: Path
) -> None:
    """All that can be written to is the output folder: no home, no folder for temporary files."""
    out = tmp_path / "out"
    out.mkdir()
    call = " ".join(arguments(study, out, bundles))
    script = (
        f"mount --bind {out} {out} && mount -o remount,bind,ro / && "
        "for place in /tmp /var/tmp /dev/shm /home /root /run /work; do "
        "mount --bind $place $place && mount -o remount,bind,ro $place; done 2>/dev/null; "
        f"mount --bind {out} {out} && mount -o remount,bind,rw {out} || exit 99; "
        f"touch {study}/x 2>/dev/null && exit 98; cd /; "
        f"exec {sys.executable} -m renalseg.commands.main {call}"
    )
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "HOME": "/root"}
    environment.pop("RENALSEG_CACHE", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode in (98, 99) or "unshare" in done.stderr:
        pytest.skip(f"no read-only system can be made here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    assert (out / "result.json").is_file()
    assert "arning" not in done.stderr.replace("Warning: ", "")


def truncate(root: Path) -> None:
    path = root / "models" / "model.pt"
    path.write_bytes(path.read_bytes()[:200])


def break_yaml(root: Path) -> None:
    (root / "configs" / "inference.yaml").write_text("network: [")


def remove_metadata(root: Path) -> None:
    (root / "configs" / "metadata.json").unlink()


def another_network(root: Path) -> None:
    path = root / "configs" / "inference.yaml"
    path.write_text(path.read_text().replace("kernel_size: 1", "kernel_size: 3"))


@pytest.mark.parametrize(
    "program", [("-m", "renalseg.commands.main"), ("-m", "app")], ids=["run", "app"]
)
@pytest.mark.parametrize("spoil", [truncate, break_yaml, remove_metadata, another_network])
@pytest.mark.slow
def test_a_broken_bundle_is_refused_and_named(
    study: Path,
    tmp_path: Path,
    program: tuple[str, ...],
    spoil: Callable[[Path], None],
    repository: Path,
) -> None:
    bundles = write_bundles(tmp_path / "bundles")
    spoil(bundles / "tumor_tiny")
    _, study_in, out, *rest = arguments(study, tmp_path / "out", bundles)
    places = ("-i", study_in, "-o", out) if "app" in program else ("run", study_in, out)
    done = run(*program, *places, *rest, PYTHONPATH=str(repository))
    assert done.returncode == 2, done.stderr
    assert "tumor_tiny" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
