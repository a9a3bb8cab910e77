"""Replicas that share a volume do not share a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servicekit.own_folder import own_folder

HOLD = """
import sys
from pathlib import Path
from servicekit.own_folder import own_folder
with own_folder(Path(sys.argv[1]), "state") as folder:
    print(folder.name, flush=True)
    sys.stdin.read()
"""


def test_each_process_has_its_own(tmp_path: Path) -> None:
    """Two that run at once have two folders; after one is killed, the next takes over its folder with what is in it."""
    with own_folder(tmp_path, "state") as first:
        (first / "kept").touch()
        other = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert (first.name, other.stdout.readline().strip()) == ("state", "state-1")
        (tmp_path / "state-1" / "theirs").touch()
        other.kill()
        other.communicate()
        with own_folder(tmp_path, "state") as second:
            assert (second.name, (second / "theirs").exists()) == ("state-1", True)
    with own_folder(tmp_path, "state") as again:
        assert (again / "kept").exists()
