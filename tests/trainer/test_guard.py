"""What a training has started ends with it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servicekit.config import Settings
from trainer.pipeline import Pipeline

HANGS = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
pathlib.Path("new").write_text(str(child.pid))
pathlib.Path("new").rename("pid")
child.wait()
"""


def wait(fact: Callable[[], bool], seconds: float = 30) -> None:
    """Return once ``fact`` holds."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits to be taken notice of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_command_that_is_cancelled_ends_with_its_children(tmp_path: Path) -> None:
    """As one is whose time is up: neither of the two processes is there any more."""
    pipeline, pid = Pipeline(Settings(project=tmp_path, data_dir=tmp_path, model="m")), tmp_path / "pid"
    running = asyncio.create_task(pipeline.commands.run("hang", sys.executable, "-c", HANGS, cwd=tmp_path))
    await asyncio.to_thread(wait, pid.exists)
    child = int(pid.read_text())
    assert not ended(child)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(running, 0.01)
    await asyncio.to_thread(wait, lambda: ended(child))
