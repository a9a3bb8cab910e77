"""The first model: the project's pipeline run once, its result registered as champion and told on ``model-events``.

What is there already is not made again, and what an earlier start left half done is finished: it may be run at every start.
Where a version serves, no pipeline is run: what it needs may have changed or be out of reach since.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from contracts.codec import derived_id
from contracts.events import ModelChanged
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topic_log import read_events
from servicekit.topics import ensure_topics

from atalaia.processes import Child, python
from atalaia.project import Project, environment_of, repository_of
from atalaia.registry import given as given_by

PREFIX = "ATALAIA_"
KAFKA_SECONDS = 300  # a broker that was killed goes through its logs first


def environment(project: Project, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a project's processes are started with: an explicit variable wins over ``service.env``, ``given`` over both."""
    explicit = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    env = {**os.environ, **project.service_env, **explicit, **(given or {})}
    env["PYTHONUNBUFFERED"] = "1"
    # A pipeline's stages say `python`: it shall be this one, whether or not its environment is activated.
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    env.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    env.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # we fetch bundles too
    env.setdefault("DVC_NO_ANALYTICS", "true")
    env.setdefault("GIT_PYTHON_REFRESH", "quiet")
    return env


def settings_from(env: Mapping[str, str]) -> Settings:
    """The settings that services started with ``env`` will see."""
    given = {name[len(PREFIX) :].lower(): value for name, value in env.items() if name.startswith(PREFIX)}
    return read_settings(**given)


@contextlib.contextmanager
def pipeline(copy: Path, env: Mapping[str, str], log: Path, seconds: float) -> Iterator[None]:
    """``dvc repro`` in the project's own repository, beside what is done inside, and over after it.

    Incremental: a stage that has run is not run again. Raises :class:`UserError` with the end of its log where it
    fails, or takes longer than ``seconds`` after what was done inside.
    """
    child = Child(
        "the first model's pipeline (dvc repro)",
        python("-m", "dvc", "repro"),
        log,
        env=environment_of(copy, dict(env)),
        cwd=copy,
    )
    try:
        yield
        child.wait(seconds)
    finally:
        if child.running:
            child.stop()


async def served(settings: Settings) -> str | None:
    """The version that ``model-events``, which is the truth, says serves; None where it names none of the model."""
    events = await read_events(settings, "model-events", ModelChanged)
    return next((event.version for event in reversed(events) if event.model == settings.model), None)


def champion_of(registry: Registry, model: str) -> str | None:
    """The version that the registry's alias names, if any; raises :class:`UserError` where the registry does not say."""
    return given_by(registry, f"the champion of {model}", lambda: registry.champion(model))


def install(
    project: Project,
    copy: Path,
    env: Mapping[str, str],
    settings: Settings,
    log: Path,
    tick: Callable[[str], None],
) -> str:
    """The version that serves; where none does, the registry's champion, registered if need be, and announced.

    Raises :class:`UserError` where the registry does not answer, or the project publishes no champion of the model that
    the settings name.
    """
    serving = asyncio.run(served(settings))
    registry = Registry(settings.mlflow)
    model = settings.model
    if serving is not None:
        if serving not in given_by(registry, f"the versions of {model}", lambda: registry.versions(model)):
            raise UserError(
                f"Version {serving} of {model} serves by model-events, and the registry at {settings.mlflow} has no such version: "
                "it was lost, or is another's. Restore it (docs/compose.md, Backup), or begin anew with empty topics."
            )
        return serving
    version = champion_of(registry, model)
    if version is None:
        tick("registering the first model")
        Child(
            "the first model's registration",
            python("-m", f"{project.package}.publish", "--alias", "champion"),
            log,
            env=environment_of(copy, dict(env)),
            cwd=copy,
        ).wait(settings.training_timeout_s)
        version = champion_of(registry, model)
        if version is None:
            raise UserError(
                f"the project {project.name} published no champion of {model!r}: "
                f"does its publish step register the model that ATALAIA_MODEL names?"
            )
    bundle = given_by(registry, f"version {version} of {model}", lambda: registry.bundle(model, version))
    event = ModelChanged(
        model=model,
        version=version,
        previous_version=None,
        action="installed",
        artifact_uri=bundle.artifact_uri,
        sha256=bundle.sha256,
        effective_from=settings.window_origin_ms,
        reason="the registry's champion when the platform was first started",
    )
    asyncio.run(_announce(settings, event))
    return version


async def _announce(settings: Settings, event: ModelChanged) -> None:
    producer = await make_producer(settings, "atalaia-up")
    try:
        ce_id = derived_id("installed", event.model, event.version, event.sha256)
        await publish(producer, "model-events", event, source="atalaia", key=event.model, ce_id=ce_id)
    finally:
        await producer.stop()


def prepare(project: Project, data: Path, tick: Callable[[str], None]) -> str:
    """Topics, the project's own repository at ``data``/project, and the first model, on Kafka and MLflow that run. The version.

    The pipeline is run only where no version serves and the registry has no champion.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    env = environment(project)
    settings = settings_from(env)
    env["MLFLOW_TRACKING_URI"] = env["MLFLOW_REGISTRY_URI"] = settings.mlflow
    tick("preparing the project's own repository")
    copy = repository_of(project, data)
    tick(f"waiting for Kafka at {settings.kafka}")
    asyncio.run(wait_for_kafka(settings, KAFKA_SECONDS))
    asyncio.run(ensure_topics(settings))
    log = data / "logs" / "first-model.log"
    if (
        asyncio.run(served(settings)) is None
        and champion_of(Registry(settings.mlflow), settings.model) is None
    ):
        tick("training the first model")
        with pipeline(copy, env, log, settings.training_timeout_s):
            pass
    return install(project, copy, env, settings, log, tick)
