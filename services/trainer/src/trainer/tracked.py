"""``dvc add`` of the snapshot, then ``dvc repro``, in one process: importing DVC takes longer than adding.

Used as ``python -m trainer.tracked FILE ...`` in the project's folder. Killed at any point, it can be run again.
"""

from __future__ import annotations

import sys

from dvc.cli import main as dvc  # type: ignore[import-untyped]


def main(files: list[str]) -> int:
    """The exit code of the command that failed, else 0."""
    return int(dvc(["add", "--quiet", *files]) or dvc(["repro"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
