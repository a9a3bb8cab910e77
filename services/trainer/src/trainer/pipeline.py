"""The project's own pipeline, run in the trainer's own clone: snapshot, ``dvc repro``, commit, publish and push.

The user's checkout is read, never written. Each run is a branch of the clone, cut from the project as it is
now; what the run was trained on (``data/live/*.parquet.dvc``) and what came out of it (``dvc.lock``) are committed
there. The branch goes to a git remote, the files to a DVC remote, while the version is registered: a version can be
made again without the clone.

What a project promises: ``params.yaml`` names its ``package`` and ``metric``; ``dvc repro`` reads
``data/live/{training,holdout,reference}.parquet`` where they exist; ``python -m <package>.publish`` registers
the result under ``ATALAIA_MODEL`` with the tags in ``ATALAIA_TAGS`` and prints ``version`` and ``run_id`` as
JSON in its last line. What a project may do: try the candidates of ``data/live/selection.json``, and log
``candidates.json`` and ``losses.parquet`` to the MLflow run (:mod:`trainer.domain.tried`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.provenance import SELECTION, SNAPSHOT, made_with
from servicekit.remotes import NAME, remotes_of

from trainer.domain.selection import Selection
from trainer.snapshot import write_snapshot

log = logging.getLogger("trainer")
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "atalaia-trainer"), ("EMAIL", "trainer@atalaia.invalid"))
}


_GUARD = Path(__file__).with_name("guard.py")


class PipelineFailed(RuntimeError):
    """A step of the pipeline ended with an error; the message names it and quotes its last words."""


@dataclass(frozen=True)
class Trained:
    """A registered version, and what made it."""

    version: str
    mlflow_run_id: str
    dvc_revision: str
    data_sha256: str
    seconds: dict[str, float] = field(
        default_factory=dict
    )  # by step; of one that a crash interrupted not known


@dataclass(frozen=True)
class Begun:
    """An MLflow run that a crash left without a version, and the project's revision that it is of."""

    mlflow_run_id: str
    code_version: str


class Pipeline:
    """One project's clone under ``ATALAIA_DATA_DIR/trainer/<model>``. Runs one training at a time."""

    def __init__(self, settings: Settings) -> None:
        self.project = settings.project.resolve()
        self.folder = (settings.data_dir / "trainer" / settings.model).resolve()
        self.clone = self.folder / "clone"
        self.work = self.clone  # the project's folder inside the clone
        self.inside = Path()  # that folder, seen from the clone's
        self.remotes = remotes_of(settings)
        self.package = ""
        self.metric = "log_loss"
        self._env = {
            **os.environ,
            **_IDENTITY,
            "ATALAIA_MLFLOW": settings.mlflow,
            "ATALAIA_MODEL": settings.model,
            "MLFLOW_TRACKING_URI": settings.mlflow,
            "MLFLOW_REGISTRY_URI": settings.mlflow,  # MLflow's client leaves its own in our environment
            "DVC_NO_ANALYTICS": "1",
            "PYTHONHASHSEED": "0",  # what a project's exporter gathers in a set shall have one order
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        }

    def check(self) -> None:
        """Read what the project says about itself; raises ``UserError`` where it is no project."""
        path = self.project / "params.yaml"
        try:
            params: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
            self.package, self.metric = str(params["package"]), str(params.get("metric", self.metric))
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} must name the project's Python package (key `package`); "
                f"set ATALAIA_PROJECT to the project's folder ({type(error).__name__}: {error})"
            ) from error
        if not (self.project / "dvc.yaml").is_file():
            raise UserError(f"{self.project} has no dvc.yaml; set ATALAIA_PROJECT to the project's folder")

    async def _run(
        self, what: str, *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Standard output of a command; raises :class:`PipelineFailed`. Ends the command when cancelled."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_GUARD), *command),
            cwd=cwd or self.work,
            env={**self._env, **(env or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the trainer, which ends its training itself
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            # Not communicate(): that would close standard input, which tells the guard that we are gone.
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
        finally:
            process.stdin.close()
            await asyncio.shield(process.wait())
        with (self.folder / "last-run.log").open("ab") as file:
            file.write(b"$ " + " ".join(command).encode() + b"\n" + out + err)
        if process.returncode:
            words = (err.strip() or out.strip()).decode(errors="replace").splitlines()
            # DVC's own last word only says which command failed; the command said why.
            telling = [w for w in words if "error" in w.lower() and "failed to reproduce" not in w]
            said = (telling or words or [""])[-1]
            raise PipelineFailed(f"{what} ended with exit code {process.returncode}: {said.strip()[:400]}")
        return out.decode()

    async def _git(self, *arguments: str, cwd: Path | None = None) -> str:
        quiet = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false")
        return (await self._run(f"git {arguments[0]}", "git", *quiet, *arguments, cwd=cwd)).strip()

    async def prepare(self) -> None:
        """Make the clone if it is not there, else take up what the project has become since."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # A killed git leaves its lock behind; the clone is ours alone.
        (self.clone / ".git" / "index.lock").unlink(missing_ok=True)
        top, inside = await self._committed()
        if not (self.clone / ".git").exists():
            fresh = self.folder / "clone.new"
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            if top is not None:
                await self._git("clone", "--quiet", "--no-hardlinks", str(top), str(fresh), cwd=self.folder)
            else:
                await asyncio.to_thread(_copy, self.project, fresh)
                await self._git("init", "--quiet", "-b", "main", cwd=fresh)
                if not (fresh / ".dvc").exists():
                    await self._run("dvc init", sys.executable, "-m", "dvc", "init", "--quiet", cwd=fresh)
                await self._git("add", "-A", ".", cwd=fresh)
                await self._git("commit", "--quiet", "-m", "The project as it was found", cwd=fresh)
            await self._git("branch", "-f", "project", "HEAD", cwd=fresh)
            fresh.rename(self.clone)  # all or nothing: a clone that is there is whole
        elif top is not None:
            await self._git("fetch", "--quiet", "origin", "+HEAD:refs/heads/project", cwd=self.clone)
        self.inside = inside if top is not None else Path()
        self.work = self.clone / self.inside
        self._env["PYTHONPATH"] = os.pathsep.join(
            [str(self.work / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self._share_cache()

    async def _committed(self) -> tuple[Path | None, Path]:
        """The top of the git repository that holds the project, if it is committed there."""
        try:
            top = Path(await self._git("rev-parse", "--show-toplevel", cwd=self.project)).resolve()
            inside = self.project.relative_to(top)
            await self._git("cat-file", "-e", f"HEAD:{(inside / 'dvc.yaml').as_posix()}", cwd=self.project)
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

    async def train(
        self,
        run_id: str,
        selection: Selection,
        target: str,
        tags: Mapping[str, str],
        resume: Begun | None = None,
    ) -> Trained:
        """Run the pipeline on a selection and register what comes out; the alias is not touched.

        ``resume`` is gone on with, unless the project has changed since: a run's parameters cannot.
        """
        began, seconds = time.monotonic(), dict[str, float]()
        (self.folder / "last-run.log").unlink(missing_ok=True)
        await self.prepare()
        await self._git(
            "checkout", "--quiet", "--force", "-B", f"training/{run_id}", "project", cwd=self.clone
        )
        code_version = await self._git("rev-parse", "project", cwd=self.clone)
        data_sha256 = await asyncio.to_thread(
            write_snapshot, self.work, selection, target, int(tags["as_of"])
        )
        await self._trackable()
        seconds["snapshot"] = time.monotonic() - began
        go = self.folder / "tags.json"
        go.unlink(missing_ok=True)
        module = ("-m", "trainer.publisher", self.package, str(go))
        # mlflow.start_run() goes on with the run that MLFLOW_RUN_ID names
        goes_on = resume is not None and resume.code_version == code_version
        env = {"MLFLOW_RUN_ID": resume.mlflow_run_id} if resume is not None and goes_on else {}
        publishing = self._run("publish", sys.executable, *module, env=env)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(publishing)]
        try:
            began = time.monotonic()
            await self._run("dvc repro", sys.executable, "-m", "trainer.tracked", *SNAPSHOT)
            seconds["train"] = time.monotonic() - began
            log.info("dvc repro took %.1f s", seconds["train"])
            began = time.monotonic()
            revision = await self._commit(run_id, tags)
            made = {
                **await asyncio.to_thread(made_with),
                "code_version": code_version,
                "project_path": self.inside.as_posix(),
                "training_run": run_id,
                "dvc_revision": revision,
                "data_sha256": data_sha256,
            }
            whole = self.folder / "tags.json.new"
            whole.write_text(json.dumps({**tags, **made}), encoding="utf-8")
            whole.rename(go)
            tasks.append(asyncio.create_task(self._push(run_id, revision)))
            out = (await asyncio.gather(*tasks))[0]
            seconds["register"] = time.monotonic() - began
            log.info("publish and push took %.1f s", seconds["register"])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        try:
            said = json.loads(out.strip().splitlines()[-1])
            return Trained(str(said["version"]), str(said["run_id"]), revision, data_sha256, seconds)
        except (ValueError, KeyError, IndexError, TypeError):
            raise PipelineFailed(
                "publish ended well, but its last line is not JSON with version and run_id"
            ) from None

    async def pushed(self, run_id: str, revision: str) -> None:
        """See to it that a registered run that a crash interrupted is pushed; raises :class:`PipelineFailed`."""
        await self.prepare()
        if revision in await self._git(
            "ls-remote", await self._repository(), f"refs/heads/training/{run_id}"
        ):
            return  # the branch goes last: what it names is there
        await self._git("checkout", "--quiet", "--force", "--detach", revision, cwd=self.clone)
        await self._push(run_id, revision)

    async def _push(self, run_id: str, revision: str) -> None:
        """What DVC tracks first, then the branch: a branch that is there names nothing that is not."""
        began = time.monotonic()
        push = ("dvc", "push", "--quiet", "--remote", NAME, "--recursive", ".")
        await self._run("dvc push", sys.executable, "-m", *push)
        branch = (
            f"{revision}:refs/heads/training/{run_id}"  # an attempt that was killed may have pushed another
        )
        await self._git("push", "--quiet", "--force", await self._repository(), branch, cwd=self.clone)
        log.info("push took %.1f s", time.monotonic() - began)

    async def _repository(self) -> str:
        """The git remote, made where it is the default one or another folder that is not there."""
        bare = self.remotes.bare
        if bare is not None and not bare.exists():
            fresh = self.folder / "remote.new"
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            await self._git("init", "--quiet", "--bare", str(fresh), cwd=self.folder)
            bare.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(fresh, bare)
        return self.remotes.git

    async def _trackable(self) -> None:
        """Raise :class:`PipelineFailed` where the project hides from git what says which snapshot it was and what was tried of it."""
        hidden = f"{SNAPSHOT[0]}.dvc"
        try:
            await self._git("check-ignore", hidden, SELECTION)
        except PipelineFailed:
            return
        raise PipelineFailed(
            f"{hidden} is git-ignored, so that the snapshot cannot be tracked: let the project's .gitignore say "
            f"/data/*.parquet and /data/live/*.parquet instead of the folder"
        )

    async def _commit(self, run_id: str, tags: Mapping[str, str]) -> str:
        """Commit what the run was made of and what came out; the revision."""
        await self._git("add", "-A", ".", cwd=self.work)
        message = f"Training {run_id}\n\n" + "\n".join(f"{name}: {value}" for name, value in tags.items())
        await self._git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.work)
        return await self._git("rev-parse", "HEAD", cwd=self.work)


def _copy(project: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", "mlruns", "tmp", "cache", "config.local")
    shutil.copytree(project, target, ignore=ignored)
