"""Runs a program and records its seconds and its peak memory.

It is a separate program and uses only the standard library: the kernel counts the memory of the
starting process toward the peak of the program, so that process must be small.

    python launch.py REPORT PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def launch(report: Path, command: Sequence[str]) -> int:
    """Runs a program to its end.

    Args:
        report: JSON file that gets `seconds` and `peak_mib`, the largest resident memory.
        command: The program and its arguments.

    Returns:
        The exit code of the program; negative is the signal that ended it.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    unit = 1024 if sys.platform == "darwin" else 1  # bytes on macOS, KiB elsewhere
    peak_mib = usage.ru_maxrss / unit / 1024
    report.write_text(json.dumps({"seconds": seconds, "peak_mib": peak_mib}), encoding="utf-8")
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


if __name__ == "__main__":
    sys.exit(launch(Path(sys.argv[1]), sys.argv[2:]))
