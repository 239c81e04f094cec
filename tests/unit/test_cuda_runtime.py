from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from renalseg.runtime import cuda_runtime

SONAME = "libcudart.so.13"


class FakeLoader:
    """Stands in for `ctypes.CDLL` on a machine that has the given libraries and no others."""

    def __init__(self, *present: str) -> None:
        self.present = present
        self.loaded: list[str] = []

    def __call__(self, name: str, mode: int) -> None:
        if name not in self.present:
            raise OSError(f"{name}: cannot open shared object file")
        assert mode == ctypes.RTLD_GLOBAL
        self.loaded.append(name)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site-packages folder."""
    monkeypatch.setattr(
        cuda_runtime,
        "_folders",
        lambda package: [tmp_path / package] if (tmp_path / package).is_dir() else [],
    )
    return tmp_path


def add_holoscan(site: Path) -> None:
    (site / "holoscan" / "lib").mkdir(parents=True)


def add_wheel(site: Path, soname: str = SONAME) -> Path:
    library = site / "nvidia" / "cu13" / "lib" / soname
    library.parent.mkdir(parents=True)
    library.touch()
    return library


def test_installed_cuda_goes_before_the_wheel(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_holoscan(site)
    loader = FakeLoader(SONAME, str(add_wheel(site)))
    monkeypatch.setattr(ctypes, "CDLL", loader)
    cuda_runtime.ensure_cuda_runtime()
    assert loader.loaded == [SONAME]


def test_wheel_is_loaded_by_path_without_cuda(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_holoscan(site)
    library = add_wheel(site)
    loader = FakeLoader(str(library))
    monkeypatch.setattr(ctypes, "CDLL", loader)
    cuda_runtime.ensure_cuda_runtime()
    assert loader.loaded == [str(library)]


def test_wheel_of_another_cuda_does_not_count(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_holoscan(site)
    add_wheel(site, "libcudart.so.12")
    monkeypatch.setattr(ctypes, "CDLL", FakeLoader())
    with pytest.raises(ConfigError, match=r"Holoscan needs libcudart\.so\.13.*pip install"):
        cuda_runtime.ensure_cuda_runtime()


def test_nothing_is_asked_for_without_holoscan(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", FakeLoader())
    cuda_runtime.ensure_cuda_runtime()
    assert cuda_runtime.link_for_holoscan() is None


def test_link_lies_beside_the_libraries_of_holoscan_and_moves_with_the_environment(
    site: Path,
) -> None:
    add_holoscan(site)
    library = add_wheel(site)
    for _again in range(2):
        link = cuda_runtime.link_for_holoscan()
        assert link == site / "holoscan" / "lib" / SONAME
        assert link.readlink() == Path("../../nvidia/cu13/lib", SONAME)
        assert link.samefile(library)


def test_installed_packages_are_found() -> None:
    pytest.importorskip("holoscan")
    assert cuda_runtime.holoscan_folder()
    assert cuda_runtime.wheel_library()
