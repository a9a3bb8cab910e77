"""Runs a command that has children of its own, and takes all of them along when it ends or is told to.

``PR_SET_PDEATHSIG`` reaches a direct child only; ``mlflow server`` starts its server as a grandchild.
Used as ``python -m atalaia.guard COMMAND ...``; imports nothing heavy on purpose.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def main(command: list[str]) -> int:
    """Run ``command`` in a group of its own; its exit code."""
    child = subprocess.Popen(command, start_new_session=True)

    def end(*_: object) -> None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        os._exit(0)

    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, end)
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
