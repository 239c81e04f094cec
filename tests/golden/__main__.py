"""Renews goldens, and reports how they differ from the old ones: ``python -m tests.golden``."""

from __future__ import annotations

import argparse
import sys

from tests.golden import FOLDER, METHODS, PLAIN, dice, load, predict, sample, save


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("method", nargs="*", metavar="METHOD", help="all by default")
    for method in parser.parse_args().method or METHODS:
        pred = predict(method, PLAIN)
        said = {"the truth": dice(pred, sample()[1].numpy()[0])}
        if (FOLDER / f"{method}.json").is_file():
            said["the golden before"] = dice(pred, load(method)[1])
        said["the run as shipped"] = dice(pred, predict(method))
        save(method, pred)
        sys.stdout.write(f"{method}: Dice of the new golden and\n")
        for other, scores in said.items():
            values = "  ".join(f"{name} {value:.5f}" for name, value in scores.items())
            sys.stdout.write(f"  {other:20}{values}\n")


if __name__ == "__main__":
    main()
