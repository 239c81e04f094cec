#!/usr/bin/env python3
"""Makes the accounts of Orthanc (worker, viewer, admin) in the folder `accounts`.

    ./accounts.py          # draws the passwords
    ./accounts.py --ask    # asks for them; any character works

The files can be read by whoever may open the folder, which is its owner alone; a container sees
only the file that compose.yaml gives it.
"""

from __future__ import annotations

import getpass
import json
import secrets
import sys
from pathlib import Path

NAMES = ("worker", "viewer", "admin")
FOLDER = Path(__file__).parent / "accounts"


def write(passwords: dict[str, str], folder: Path = FOLDER) -> None:
    """Writes what Orthanc reads, and the password that the worker reads."""
    for name, password in passwords.items():
        if not password or "${" in password or "\n" in password:  # Orthanc would fill in ${...}
            sys.exit(f"Expected a password for {name} without ${{ and line breaks")
    folder.mkdir(mode=0o700, exist_ok=True)
    users = json.dumps({"RegisteredUsers": passwords}, indent=2, ensure_ascii=False)
    for name, text in (("orthanc.json", users), ("worker-password", passwords["worker"])):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)


if __name__ == "__main__":
    if FOLDER.exists():
        sys.exit(f"Expected no accounts yet, found {FOLDER}: remove it to make new ones")
    ask = "--ask" in sys.argv[1:]
    write({
        name: getpass.getpass(f"Password of {name}: ") if ask else secrets.token_urlsafe(24)
        for name in NAMES
    })  # fmt: skip
    sys.stdout.write(f"Passwords are in {FOLDER}/orthanc.json\n")
