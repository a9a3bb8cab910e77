"""Runs a command, and lets it outlive neither this process nor the one that started it.

Used as ``python watchdog.py FOLDER COMMAND ...`` with a pipe as standard input: end of file there means that
the parent is gone, however it went; FOLDER, where not empty, is then removed. ``PR_SET_PDEATHSIG`` alone
would not do, because it fires when the *thread* ends that started the child, and exists on Linux only. The
first line of output is the command's process id. Imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_PATIENCE_SECONDS = 15


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Let the kernel send a signal to this process when ``parent`` is gone (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), number)


def main(folder: str, command: list[str]) -> int:
    """Run ``command`` until it ends, SIGTERM comes (it may say goodbye) or the parent goes (it may not)."""
    me = os.getpid()
    watched = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        preexec_fn=lambda: die_with_parent(me, signal.SIGKILL),
    )
    told = orphaned = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    print(watched.pid, flush=True)
    os.close(1)
    try:
        while not told and watched.poll() is None:
            # A parent that is killed often starts again at once: its port has to be free by then.
            if select.select([0], [], [], 0.1)[0] and not os.read(0, 1):
                watched.kill()
                orphaned = True
                break
        if told:
            watched.terminate()
        try:
            return watched.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            watched.kill()
            return watched.wait()
    finally:
        if orphaned and folder:  # else it is the parent's to remove
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    os._exit(code if code >= 0 else 128 - code)
