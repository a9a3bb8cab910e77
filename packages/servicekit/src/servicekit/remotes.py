"""Where a training's data and its branch are kept, beside the trainer's own clone.

Both default to folders under ``ATALAIA_DATA_DIR``; on several machines they are an object store and a git server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from servicekit.config import Settings

NAME = "atalaia"  # of the DVC remote, in the local configuration of a clone


@dataclass(frozen=True)
class Remotes:
    """A git and a DVC remote, each a URL or an absolute path."""

    git: str
    dvc: str

    @property
    def dvc_config(self) -> str:
        """The section of ``.dvc/config.local`` that names the DVC remote."""
        return f"['remote \"{NAME}\"']\n    url = {self.dvc}\n"

    @property
    def bare(self) -> Path | None:
        """The git remote as a folder, where it is one."""
        return Path(self.git) if Path(self.git).is_absolute() else None


def remotes_of(settings: Settings) -> Remotes:
    """The remotes of the settings' model.

    >>> remotes_of(Settings(git_remote="git@host:a/b.git", dvc_remote="s3://bucket/dvc"))
    Remotes(git='git@host:a/b.git', dvc='s3://bucket/dvc')
    """
    data = settings.data_dir.resolve()
    return Remotes(
        _whole(settings.git_remote) or str(data / "git" / f"{settings.model}.git"),
        _whole(settings.dvc_remote) or str(data / "dvc-remote"),
    )


def _whole(remote: str) -> str:
    """A relative folder as an absolute one: git and DVC run in the clone. ``host:path`` is ssh, as git has it."""
    return str(Path(remote).resolve()) if remote and ":" not in remote else remote
