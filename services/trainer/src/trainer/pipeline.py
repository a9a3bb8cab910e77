"""The project's own pipeline, run in the trainer's own clone: snapshot, ``dvc repro``, commit, publish and push.

The run's branch and files are pushed while the version is registered (:mod:`trainer.project_clone`).

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
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.provenance import SNAPSHOT, made_with
from servicekit.remotes import remotes_of

from trainer.commands import Commands, PipelineFailed
from trainer.domain.selection import Selection
from trainer.project_clone import ProjectClone
from trainer.snapshot import write_snapshot

log = logging.getLogger("trainer")


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
    """One project's, in a folder under ``ATALAIA_DATA_DIR/trainer/<model>``. Runs one training at a time."""

    def __init__(self, settings: Settings) -> None:
        self._confidence = settings.candidate_confidence
        self.project = settings.project.resolve()
        self.folder = (settings.data_dir / "trainer" / settings.model).resolve()
        self.commands = Commands(
            self.folder / "last-run.log",
            {
                "ATALAIA_MLFLOW": settings.mlflow,
                "ATALAIA_MODEL": settings.model,
                "MLFLOW_TRACKING_URI": settings.mlflow,
                "MLFLOW_REGISTRY_URI": settings.mlflow,  # MLflow's client leaves its own in our environment
            },
        )
        self.clone = ProjectClone(self.project, self.folder, remotes_of(settings), self.commands)
        self.package = ""
        self.metric = "log_loss"

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
        self.commands.log.unlink(missing_ok=True)
        code_version = await self.clone.branch(run_id)
        work = self.clone.work
        data_sha256 = await asyncio.to_thread(
            write_snapshot, work, selection, target, int(tags["as_of"]), self._confidence
        )
        await self.clone.trackable()
        seconds["snapshot"] = time.monotonic() - began
        go = self.folder / "tags.json"
        go.unlink(missing_ok=True)
        module = ("-m", "trainer.publisher", self.package, str(go))
        # mlflow.start_run() goes on with the run that MLFLOW_RUN_ID names
        goes_on = resume is not None and resume.code_version == code_version
        env = {"MLFLOW_RUN_ID": resume.mlflow_run_id} if resume is not None and goes_on else {}
        publishing = self.commands.run("publish", sys.executable, *module, cwd=work, env=env)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(publishing)]
        try:
            began = time.monotonic()
            await self.commands.run("dvc repro", sys.executable, "-m", "trainer.tracked", *SNAPSHOT, cwd=work)
            seconds["train"] = time.monotonic() - began
            log.info("dvc repro took %.1f s", seconds["train"])
            began = time.monotonic()
            revision = await self.clone.commit(run_id, tags)
            made = {
                **await asyncio.to_thread(made_with),
                "code_version": code_version,
                "project_path": self.clone.inside.as_posix(),
                "training_run": run_id,
                "dvc_revision": revision,
                "data_sha256": data_sha256,
            }
            whole = self.folder / "tags.json.new"
            whole.write_text(json.dumps({**tags, **made}), encoding="utf-8")
            whole.rename(go)
            tasks.append(asyncio.create_task(self.clone.push(run_id, revision)))
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
        await self.clone.pushed(run_id, revision)
