"""Runs a command that has children of its own, and takes all of them along when it ends or is told to.

``PR_SET_PDEATHSIG`` reaches a direct child only; ``mlflow server`` starts its server as a grandchild.
Used as ``python -m atalaia.guard COMMAND ...``; imports nothing heavy on purpose.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Let the kernel send SIGTERM to this process when ``parent`` is gone (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), signal.SIGTERM)


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
