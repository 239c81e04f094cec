"""Bundles on the Hugging Face Hub: the folder that is pushed, and the push."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from renalseg.errors import ConfigError, InputError, RetryableError
from renalseg.inference.metadata import (
    LICENSE_FILE,
    METADATA_FILE,
    read_metadata,
    weights_license,
)
from renalseg.runtime.checksums import MANIFEST, check_manifest
from renalseg.runtime.staging import staging, sync_all

CARD = "docs/README.md"
_NEEDED = (
    *(METADATA_FILE, "configs/inference.yaml", "models/model.pt"),
    *(CARD, "LICENSE", LICENSE_FILE, MANIFEST),
)
_REPOSITORY = re.compile(r"hf:([\w.-]+/[\w.-]+)")
_TAGS = ("monai", "medical", "ct", "kidney", "image-segmentation")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_REFUSED = (401, 403)


def repository_of(target: str) -> str:
    """Takes the repository out of a target such as "hf:ORG/NAME".

    Raises:
        ConfigError: It is none.
    """
    match = _REPOSITORY.fullmatch(target)
    if match is None:
        raise ConfigError(f"Expected a target such as hf:ORG/NAME, got {target!r}")
    return match[1]


def prepare(bundle: Path, out: Path) -> None:
    """Writes the folder that is pushed: the bundle, with its card as README.md.

    Args:
        bundle: A complete bundle, whose files are as its manifest says.
        out: Made; nothing may be there.

    Raises:
        ConfigError: The bundle is incomplete, changed, or names no license.
        InputError: `out` exists.
    """
    missing = [name for name in _NEEDED if not (bundle / name).is_file()]
    if missing:
        raise ConfigError(
            f"Expected a complete bundle in {bundle}, found no {', '.join(missing)}; `renalseg "
            f"export` makes a bundle of a training, `renalseg manifest` its {MANIFEST}"
        )
    check_manifest(bundle)
    license_id = weights_license(bundle).lower()
    read_metadata(bundle)
    if out.exists():
        raise InputError(f"Expected a new folder for what would be pushed, found {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with staging(out.parent) as partial:
        folder = partial.files
        ignored = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(bundle, folder, ignore=ignored, dirs_exist_ok=True)
        (folder / "README.md").write_text(_card(bundle, license_id), encoding="utf-8")
        sync_all(folder)
        folder.rename(out)


def publish(bundle: Path, repository: str, *, private: bool = False) -> str:
    """Pushes a bundle to a model repository of the Hub, and tags it with its version.

    The token is that of `hf auth login`, or of the environment (HF_TOKEN).

    Args:
        bundle: As `prepare` takes it.
        repository: "ORG/NAME"; made if it is not there.
        private: Whether others may not see a repository that is made.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: The bundle cannot be published, or the Hub refuses it.
        RetryableError: The Hub cannot be reached.
    """
    if find_spec("huggingface_hub") is None:
        raise ConfigError(
            "Expected the package huggingface_hub to publish, found none: "
            "pip install 'renalseg[hub]'; --dry-run needs none"
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    version = str(read_metadata(bundle).get("version", "unknown"))
    hub = HfApi()
    # its own, and those of the HTTP client that it uses
    away: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
    with TemporaryDirectory(prefix="renalseg-") as temporary:
        folder = Path(temporary) / bundle.resolve().name
        prepare(bundle, folder)
        try:
            hub.create_repo(repository, private=private, exist_ok=True)
            commit = hub.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"Version {version}"
            )
            hub.create_tag(repository, tag=version, exist_ok=True)
        except away as error:
            raise _refusal(repository, error) from error
    return str(commit.commit_url)


def _card(bundle: Path, license_id: str) -> str:
    """The model card below the header that the Hub reads, with links from the bundle's root."""
    header = {"license": license_id, "library_name": "monai", "tags": list(_TAGS)}
    text = (bundle / CARD).read_text(encoding="utf-8")
    root, place = bundle.resolve(), (bundle / CARD).resolve().parent

    def moved(match: re.Match[str]) -> str:
        label, link, anchor = match.groups(default="")
        target = (place / link).resolve()
        if not (target.is_file() and target.is_relative_to(root)):
            return label  # a file of the project, which is not pushed
        return f"[{label}]({target.relative_to(root).as_posix()}{anchor})"

    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n{_LINK.sub(moved, text)}"


def _refusal(repository: str, error: BaseException) -> ConfigError | RetryableError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = f"{type(error).__name__}" + (f", status {status}" if status else "")
    if status in _REFUSED:
        return ConfigError(
            f"The Hub does not let this account write to {repository} ({reason}): log in with "
            "`hf auth login`, or set HF_TOKEN to a token that may write"
        )
    if status is not None and status < 500:
        return ConfigError(f"The Hub refuses {repository} ({reason})")
    return RetryableError(f"The Hub could not take {repository} ({reason}); try again later")
