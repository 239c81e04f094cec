"""The subcommand `renalseg publish`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_publish_command(commands: Any) -> None:
    """Adds `publish` to the subcommands of a parser."""
    publish: argparse.ArgumentParser = commands.add_parser(
        "publish", help="push a bundle to the Hugging Face Hub"
    )
    publish.add_argument("bundle", type=Path, help="folder of the bundle")
    publish.add_argument("--to", required=True, metavar="hf:ORG/NAME", help="model repository")
    publish.add_argument("--private", action="store_true", help="make the repository private")
    dry = "only write the folder that would be pushed"
    publish.add_argument("--dry-run", type=Path, metavar="DIR", help=dry)
    publish.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    publish.set_defaults(action=_publish)


def _publish(options: argparse.Namespace) -> None:
    from renalseg.training.publish import prepare, publish, repository_of

    repository = repository_of(options.to)
    if options.dry_run is not None:
        prepare(options.bundle, options.dry_run)
        print(options.dry_run)
        return
    print(publish(options.bundle, repository, private=options.private))
