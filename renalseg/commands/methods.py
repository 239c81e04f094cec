"""``renalseg methods``: lists the methods, their bundles and their measured accuracy."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renalseg.inference.references import Reference


def add_methods_command(commands: Any) -> None:
    """Adds ``methods`` to the subcommands of ``renalseg``."""
    command: argparse.ArgumentParser = commands.add_parser(
        "methods", help="list the methods, their bundles and their measured accuracy"
    )
    add = command.add_argument
    add("-m", "--model", type=Path, metavar="BUNDLES", help="folder with the bundles")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    command.set_defaults(action=_methods)


def list_methods(bundles: Path | None = None) -> list[dict[str, Any]]:
    """Describes each method that has a file, the default first.

    Args:
        bundles: Folder with the bundles; as `renalseg.settings.Settings.resolve` finds it.

    Returns:
        Of each: "method", whether it is the "default", "fingerprint", "numbers", and "stages": of
        each "bundle", "version", the weights' "sha256" (of a model from elsewhere, the
        fingerprint of its files), "bytes" and "licenses", and what was "measured" of it.

    Raises:
        ConfigError: A method or one of its bundles is broken or missing.
    """
    from renalseg.inference.methods import method_names
    from renalseg.settings import DEFAULT_METHOD, Settings, bundle_folder

    folder = bundle_folder(bundles)
    found = [
        Settings.resolve(method=name, bundles=folder, device="cpu") for name in method_names(folder)
    ]
    found.sort(key=lambda settings: settings.choice.algorithm != DEFAULT_METHOD)
    return [
        {
            "method": settings.choice.algorithm,
            "default": settings.choice.algorithm == DEFAULT_METHOD,
            "fingerprint": settings.choice.fingerprint,
            "numbers": asdict(settings.choice.numbers),
            "stages": {
                stage: _model(reference) for stage, reference in settings.choice.references.items()
            },
        }
        for settings in found
    ]


def _model(reference: Reference) -> dict[str, Any]:
    from renalseg.inference.foreign.kinds import describe_foreign, foreign_files
    from renalseg.inference.metadata import licenses_of, read_metadata
    from renalseg.runtime.checksums import sha256_of

    if reference.kind:
        name, version, fingerprint = describe_foreign(reference).split()
        size = sum(path.stat().st_size for path in foreign_files(reference))
        about = {"bundle": name, "version": version, "sha256": fingerprint, "bytes": size}
        return {**about, "licenses": [], "measured": {}}
    folder = reference.folder
    metadata = read_metadata(folder)
    weights = folder / "models" / "model.pt"
    return {
        "bundle": folder.name,
        "version": metadata.get("version", "unknown"),
        "sha256": sha256_of(weights),
        "bytes": weights.stat().st_size,
        "licenses": licenses_of(folder),
        "measured": metadata.get("eval_metrics", {}),
    }


def _methods(options: argparse.Namespace) -> None:
    found = list_methods(options.model)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    columns = ("method", "stage", "bundle", "weights", "size", "measured (bundle's own metadata)")
    table = Table(*columns)
    for method in found:
        for number, (stage, bundle) in enumerate(method["stages"].items()):
            name = method["method"] + (" (default)" if method["default"] else "")
            measured = ", ".join(f"{key} {value:g}" for key, value in bundle["measured"].items())
            about = f"{bundle['bundle']} {bundle['version']}"
            size = f"{bundle['bytes'] / 1e6:.1f} MB"
            row = (stage, about, bundle["sha256"][:16], size, measured)
            table.add_row("" if number else name, *row)
        table.add_section()
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    names = {name for one in found for b in one["stages"].values() for name in b["licenses"]}
    console.print(f"Licenses of the training data: {', '.join(sorted(names)) or 'unknown'}")
