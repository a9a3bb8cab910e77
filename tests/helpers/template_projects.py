"""What tests of the template do with a project: git, and commands as a stranger's shell runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Make = Callable[..., Path]
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def git(folder: Path, *arguments: str) -> str:
    """What git prints; raises where it fails."""
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> None:
    """Everything there is, in a repository that is made where there is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def environment() -> dict[str, str]:
    """This Python's tools on PATH, and nothing of ours that a stranger's shell would not have."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    theirs = {
        k: v for k, v in os.environ.items() if not k.startswith(("ATALAIA_", "MLFLOW_", "CI", "GITHUB_"))
    }
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "test"), ("EMAIL", "test@localhost"))
    }
    return {**theirs, **identity, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def run(folder: Path, *command: str, env: dict[str, str] | None = None) -> str:
    """What a command prints; fails with its last words."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
