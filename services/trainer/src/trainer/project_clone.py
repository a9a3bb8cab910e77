"""The trainer's own clone of a project: made, brought up to date, committed to and pushed from.

The user's checkout is read, never written. Each run is a branch of the clone, cut from the project as it is
now; what the run was trained on (``data/live/*.parquet.dvc``) and what came out of it (``dvc.lock``) are committed
there. The branch goes to a git remote, the files to a DVC remote: a version can be made again without the clone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from servicekit.provenance import SELECTION, SNAPSHOT
from servicekit.remotes import NAME, Remotes

from trainer.commands import Commands, PipelineFailed

log = logging.getLogger("trainer")


class ProjectClone:
    """One project's clone, in a folder of the trainer's."""

    def __init__(self, project: Path, folder: Path, remotes: Remotes, commands: Commands) -> None:
        self.project, self.folder, self.remotes, self._commands = project, folder, remotes, commands
        self.path = folder / "clone"
        self.work = self.path  # the project's folder inside the clone
        self.inside = Path()  # that folder, seen from the clone's

    async def prepare(self) -> None:
        """Make the clone if it is not there, else take up what the project has become since."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # A killed git leaves its lock behind; the clone is ours alone.
        (self.path / ".git" / "index.lock").unlink(missing_ok=True)
        top, inside = await self._committed()
        if not (self.path / ".git").exists():
            fresh = self.folder / "clone.new"
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            if top is not None:
                await self._commands.git(
                    "clone", "--quiet", "--no-hardlinks", str(top), str(fresh), cwd=self.folder
                )
            else:
                await asyncio.to_thread(_copy, self.project, fresh)
                await self._commands.git("init", "--quiet", "-b", "main", cwd=fresh)
                if not (fresh / ".dvc").exists():
                    await self._commands.run(
                        "dvc init", sys.executable, "-m", "dvc", "init", "--quiet", cwd=fresh
                    )
                await self._commands.git("add", "-A", ".", cwd=fresh)
                await self._commands.git("commit", "--quiet", "-m", "The project as it was found", cwd=fresh)
            await self._commands.git("branch", "-f", "project", "HEAD", cwd=fresh)
            fresh.rename(self.path)  # all or nothing: a clone that is there is whole
        elif top is not None:
            await self._commands.git("fetch", "--quiet", "origin", "+HEAD:refs/heads/project", cwd=self.path)
        self.inside = inside if top is not None else Path()
        self.work = self.path / self.inside
        self._commands.env["PYTHONPATH"] = os.pathsep.join(
            [str(self.work / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self._share_cache()

    async def _committed(self) -> tuple[Path | None, Path]:
        """The top of the git repository that holds the project, if it is committed there."""
        try:
            top = Path(await self._commands.git("rev-parse", "--show-toplevel", cwd=self.project)).resolve()
            inside = self.project.relative_to(top)
            await self._commands.git(
                "cat-file", "-e", f"HEAD:{(inside / 'dvc.yaml').as_posix()}", cwd=self.project
            )
        except (PipelineFailed, ValueError):
            return None, Path()
        return top, inside

    def _share_cache(self) -> None:
        """One DVC cache for the project and its clone: a stage that has run is not run again."""
        dvc = next(
            (f / ".dvc" for f in (self.work, *self.work.parents) if (f / ".dvc").is_dir()), self.work / ".dvc"
        )
        theirs = self.project / ".dvc" / "config.local"
        if theirs.is_file():
            text = theirs.read_text(encoding="utf-8")
        else:
            text = f"[cache]\n    dir = {self.folder.parent / 'dvc-cache'}\n"
        dvc.mkdir(exist_ok=True)
        (dvc / "config.local").write_text(f"{text}\n{self.remotes.dvc_config}", encoding="utf-8")

    async def branch(self, run_id: str) -> str:
        """Check out a run's branch, cut from the project as it is now; the project's revision."""
        await self.prepare()
        await self._commands.git(
            "checkout", "--quiet", "--force", "-B", f"training/{run_id}", "project", cwd=self.path
        )
        return await self._commands.git("rev-parse", "project", cwd=self.path)

    async def trackable(self) -> None:
        """Raise :class:`PipelineFailed` where the project hides from git what says which snapshot it was and what was tried of it."""
        hidden = f"{SNAPSHOT[0]}.dvc"
        try:
            await self._commands.git("check-ignore", hidden, SELECTION, cwd=self.work)
        except PipelineFailed:
            return
        raise PipelineFailed(
            f"{hidden} is git-ignored, so that the snapshot cannot be tracked: let the project's .gitignore say "
            f"/data/*.parquet and /data/live/*.parquet instead of the folder"
        )

    async def commit(self, run_id: str, tags: Mapping[str, str]) -> str:
        """Commit what the run was made of and what came out; the revision."""
        await self._commands.git("add", "-A", ".", cwd=self.work)
        message = f"Training {run_id}\n\n" + "\n".join(f"{name}: {value}" for name, value in tags.items())
        await self._commands.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.work)
        return await self._commands.git("rev-parse", "HEAD", cwd=self.work)

    async def pushed(self, run_id: str, revision: str) -> None:
        """See to it that a registered run that a crash interrupted is pushed; raises :class:`PipelineFailed`."""
        await self.prepare()
        branch = f"refs/heads/training/{run_id}"
        if revision in await self._commands.git("ls-remote", await self._repository(), branch, cwd=self.path):
            return  # the branch goes last: what it names is there
        await self._commands.git("checkout", "--quiet", "--force", "--detach", revision, cwd=self.path)
        await self.push(run_id, revision)

    async def push(self, run_id: str, revision: str) -> None:
        """What DVC tracks first, then the branch: a branch that is there names nothing that is not."""
        began = time.monotonic()
        push = ("dvc", "push", "--quiet", "--remote", NAME, "--recursive", ".")
        await self._commands.run("dvc push", sys.executable, "-m", *push, cwd=self.work)
        branch = (
            f"{revision}:refs/heads/training/{run_id}"  # an attempt that was killed may have pushed another
        )
        await self._commands.git(
            "push", "--quiet", "--force", await self._repository(), branch, cwd=self.path
        )
        log.info("push took %.1f s", time.monotonic() - began)

    async def _repository(self) -> str:
        """The git remote, made where it is the default one or another folder that is not there."""
        bare = self.remotes.bare
        if bare is not None and not bare.exists():
            fresh = self.folder / "remote.new"
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            await self._commands.git("init", "--quiet", "--bare", str(fresh), cwd=self.folder)
            bare.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(fresh, bare)
        return self.remotes.git


def _copy(project: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", "mlruns", "tmp", "cache", "config.local")
    shutil.copytree(project, target, ignore=ignored)
