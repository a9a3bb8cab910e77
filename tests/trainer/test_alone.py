"""Two trainers of one model in one data folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servicekit.errors import UserError
from trainer.alone import alone


def test_the_second_trainer_of_a_model_says_in_one_line_that_the_first_runs(tmp_path: Path) -> None:
    """Exit code 2, before it looks for a broker; another model's trainer and a successor are let in."""
    (tmp_path / "params.yaml").write_text("package: toy\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    env = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_MODEL": "m", "ATALAIA_PROJECT": str(tmp_path),
        "ATALAIA_DATA_DIR": str(tmp_path / "data"), "ATALAIA_KAFKA": "127.0.0.1:1",
    }  # fmt: skip
    folder = tmp_path / "data" / "trainer" / "m"
    with alone(folder, "m"), alone(folder.parent / "other", "other"):
        second = subprocess.run(
            [sys.executable, "-m", "trainer"], env=env, capture_output=True, text=True, timeout=60
        )
        assert (second.returncode, second.stdout, second.stderr.count("\n")) == (2, "", 1), second.stderr
        assert second.stderr.startswith(
            f"a trainer of m runs already in {folder} (process {os.getpid()}): stop"
        )
    with alone(folder, "m"):
        assert (folder / "lock").read_text() == str(os.getpid())


def test_a_command_that_outlives_its_trainer_does_not_keep_the_next_one_out(tmp_path: Path) -> None:
    """The lock is not inherited."""
    with alone(tmp_path, "m"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with alone(tmp_path, "m"), pytest.raises(UserError, match="runs already"), alone(tmp_path, "m"):
            pass
    finally:
        child.communicate(b"\n")
