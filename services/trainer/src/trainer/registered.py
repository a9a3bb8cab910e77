"""What the registry knows of a model's versions, asked for until it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from scoring import Unusable
from servicekit.errors import UserError
from servicekit.registry import ModelBundle, Registry

from trainer.domain.learning_curve import LearningCurve
from trainer.domain.ledger import Rows
from trainer.domain.tried import Tried
from trainer.pipeline import Begun, Trained
from trainer.snapshot import read_columns

log = logging.getLogger("trainer")
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between two questions to a registry that is away
CURVE = "learning_curve.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Champion:
    """What a training needs to know about the version that serves."""

    bundle: ModelBundle
    new_from: int | None  # event time; what is older has made it or chosen it
    curve: LearningCurve | None = None


class Registered:
    """One model's versions; ``away`` says why nothing goes on while the registry does not answer."""

    def __init__(self, model: str, registry: Registry) -> None:
        self.model, self.registry = model, registry
        self.away: str | None = None
        self._champions: dict[str, Champion] = {}

    async def champion(self, version: str) -> Champion:
        """Fetched once a version: nothing is decided before."""
        if version not in self._champions:
            asked = self.model, version
            bundle = await self._answer(f"version {version}", self.registry.bundle, *asked)
            tags = await self._answer(f"the tags of version {version}", self.registry.tags, *asked)
            until = tags.get("test_until") or tags.get("trained_until")
            self._champions[version] = Champion(
                bundle, int(until) if until else None, await self._curve(version)
            )
        return self._champions[version]

    async def _curve(self, version: str) -> LearningCurve | None:
        """How a version's loss fell with its training rows, where whoever made it has said so; else None."""
        what, asked = f"{CURVE} of version {version}", (self.model, version, CURVE)
        try:
            found = await self._answer(what, self.registry.described_by, *asked, final=(UserError,))
        except UserError as error:
            log.warning("%s", error)
            return None
        curve = LearningCurve.of(found) if found is not None else None
        if found is not None and curve is None:
            log.warning("%s is none: %s", what, found)
        return curve

    async def challenger(self, version: str) -> ModelBundle:
        """A version that was just made; raises :class:`UserError` where there is none."""
        return await self._answer(
            f"version {version}", self.registry.bundle, self.model, version, final=(UserError,)
        )

    async def tried(self, mlflow_run_id: str, holdout: Rows) -> Tried | None:
        """What a run says of its candidates; None for a project that knows nothing of candidates.

        Raises ``Unusable`` where what it says is not of the holdout.
        """
        names = "candidates.json", "losses.parquet"
        report, table = [
            await self._answer(f"{name} of the run", self.registry.artifact, mlflow_run_id, name)
            for name in names
        ]
        if report is None or table is None:
            return None
        try:
            return Tried.of(report, await asyncio.to_thread(read_columns, table), holdout.prediction_id)
        except (ValueError, msgspec.MsgspecError) as error:
            raise Unusable(
                f"what run {mlflow_run_id} says of its candidates cannot be used: {error}"
            ) from error

    async def left(self, run_id: str) -> tuple[Trained | None, Begun | None]:
        """What an interrupted run had registered, its tags completed, or else the MLflow run that it had begun."""
        return await self._answer("what the run had registered", self._left, run_id)

    def _left(self, run_id: str) -> tuple[Trained | None, Begun | None]:
        client = self.registry.client()
        experiments = [found.experiment_id for found in client.search_experiments()]
        begun = None
        for run in client.search_runs(experiments, f"tags.training_run = '{run_id}'"):
            tags = run.data.tags
            for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
                if version.name != self.model:
                    continue
                described = client.get_model_version(self.model, version.version)
                for name, value in tags.items():
                    if not name.startswith("mlflow.") and name not in described.tags:
                        client.set_model_version_tag(self.model, version.version, name, value)
                if run.info.status == "RUNNING":  # killed before it could say so
                    client.set_terminated(run.info.run_id)
                made_of = tags.get("dvc_revision", ""), tags.get("data_sha256", "")
                return Trained(str(version.version), run.info.run_id, *made_of), None
            client.set_terminated(run.info.run_id, "KILLED")  # until it is gone on with
            begun = begun or Begun(run.info.run_id, tags.get("code_version", ""))
        return None, begun

    async def _answer(
        self, what: str, ask: Callable[..., T], *about: Any, final: tuple[type[Exception], ...] = ()
    ) -> T:
        """What the registry says, asked for until it does; errors that are an answer too are ``final``."""
        delay = FIRST_DELAY
        while True:
            try:
                answer = await asyncio.to_thread(ask, *about)
            except final:
                self.away = None
                raise
            except Exception as error:  # noqa: BLE001  the registry may be away; the boundary waits
                self.away = f"the registry: {what} cannot be fetched: {' '.join(str(error).split())[:400]}"
                log.warning("%s cannot be fetched, trying again in %.1f s: %s", what, delay, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                self.away = None
                return answer
