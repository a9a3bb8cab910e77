"""The whole platform on one machine: broker, MLflow, a first model, the four services."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from contracts.codec import Unreadable, decode, derived_id
from contracts.events import ModelChanged
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topic_log import read_whole
from servicekit.topics import ensure_topics

from atalaia.ports import require_free
from atalaia.processes import Child, python, wait_until_ready
from atalaia.project import Project, environment_of, repository_of

SERVICES = {
    "predictor": "predictor",
    "feedback": "feedback",
    "drift-monitor": "drift_monitor",
    "trainer": "trainer",
}
FIRST_MODEL_SECONDS = 600
READY_SECONDS = 180
PREFIX = "ATALAIA_"


def settings_from(env: dict[str, str]) -> Settings:
    """The settings that services started with ``env`` will see."""
    given = {name[len(PREFIX) :].lower(): value for name, value in env.items() if name.startswith(PREFIX)}
    return read_settings(**given)


class Platform:
    """``with Platform(project, data) as platform:`` everything answers inside, and nothing is left after.

    ``free_ports`` takes whatever ports are free (a demonstration); otherwise an occupied one is an error.
    """

    def __init__(
        self,
        project: Project,
        data: Path,
        *,
        free_ports: bool = False,
        env: dict[str, str] | None = None,
        tick: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.project, self.data, self.tick = project, data.resolve(), tick
        self.own_broker = PREFIX + "KAFKA" not in os.environ
        self.children: dict[str, Child] = {}
        self.broker: EmbeddedKafka | None = None
        self._free = free_ports
        # An explicit variable wins over the project's own settings.
        explicit = {k: v for k, v in os.environ.items() if k.startswith(PREFIX)}
        self._env = {**os.environ, **project.service_env, **explicit, **(env or {})}
        self._env["PYTHONUNBUFFERED"] = "1"
        # A pipeline's stages say `python`: it shall be this one, whether or not its environment is activated.
        self._env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self._env.get("PATH", "")])
        self._env.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._env.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # we fetch bundles too
        self._env.setdefault("DVC_NO_ANALYTICS", "true")
        self._env.setdefault("GIT_PYTHON_REFRESH", "quiet")
        if free_ports:
            for service in SERVICES.values():
                self._env[f"{PREFIX}{service.upper()}_PORT"] = str(free_port())
        self.settings = settings_from(self._env)
        self.logs = self.data / "logs"

    # -- addresses ---------------------------------------------------------------------------------
    def url(self, service: str) -> str:
        """``http://host:port`` of a service."""
        return f"http://{self.settings.host}:{getattr(self.settings, SERVICES[service] + '_port')}"

    def addresses(self) -> dict[str, str]:
        """What to open, by name."""
        return {
            "predictor": self.url("predictor") + "/docs",
            "feedback": self.url("feedback") + "/docs",
            "drift-monitor": self.url("drift-monitor") + "/metrics",
            "trainer": self.url("trainer") + "/api/v1.0/status",
            "MLflow": self.settings.mlflow,
            "Kafka": self.settings.kafka,
            "logs": str(self.logs),
        }

    # -- life --------------------------------------------------------------------------------------
    def __enter__(self) -> Platform:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise :class:`UserError` where a process has died."""
        for child in self.children.values():
            child.check()

    def wait(self) -> None:
        """Until Ctrl-C, or until a process dies."""
        while True:
            self.check()
            time.sleep(0.5)

    def stop(self) -> None:
        """Services first, so that they can say goodbye to the broker; MLflow and the broker last."""
        mlflow = self.children.pop("mlflow", None)
        for child in self.children.values():
            child.signal()
        for child in self.children.values():
            child.stop()
        self.children.clear()
        if mlflow:
            mlflow.stop()
        if self.broker:
            self.broker.stop()
            self.broker = None

    def _start(self) -> None:
        s = self.settings
        if not self._free:
            for service in SERVICES.values():
                port = getattr(s, service + "_port")
                require_free(s.host, port, f"{PREFIX}{service.upper()}_PORT")
        self.data.mkdir(parents=True, exist_ok=True)
        own_mlflow = PREFIX + "MLFLOW" not in os.environ
        if own_mlflow:
            self._start_mlflow()
        self.tick("preparing the project's own repository")
        copy = repository_of(self.project, self.data)
        # Incremental: what an earlier start has made is not made again, what it left half done is finished.
        repro = Child(
            "the first model's pipeline (dvc repro)",
            python("-m", "dvc", "repro"),
            self.logs / "first-model.log",
            env=environment_of(copy, self._env),
            cwd=copy,
        )
        try:
            self._start_broker()
            self._export(copy)
            asyncio.run(ensure_topics(self.settings.kafka, self.settings.partitions))
            self.tick("training the first model")
            repro.wait(FIRST_MODEL_SECONDS)
        finally:
            if repro.running:
                repro.stop()
        if own_mlflow:
            child = self.children["mlflow"]
            wait_until_ready(
                {"mlflow": (self.settings.mlflow + "/health", child)}, READY_SECONDS, self.tick, self.check
            )
        self._install_first_model(copy)
        self._start_services()

    def _start_mlflow(self) -> None:
        port = free_port() if self._free else int(self.settings.mlflow.rsplit(":", 1)[1])
        if not self._free:
            require_free(self.settings.host, port, PREFIX + "MLFLOW")
        uri = f"http://{self.settings.host}:{port}"
        self._env[PREFIX + "MLFLOW"] = uri
        self.settings = settings_from(self._env)
        folder = self.data / "mlflow"
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        # The job runner starts further Python processes that we have no use for; without it the server is up
        # in half the time.
        env = {**self._env, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.children["mlflow"] = Child(
            "MLflow",
            [
                *python("-m", "atalaia.guard", *python("-m", "mlflow", "server")),
                "--backend-store-uri",
                f"sqlite:///{folder / 'mlflow.db'}",
                "--artifacts-destination",
                str(folder / "artifacts"),
                "--host",
                self.settings.host,
                "--port",
                str(port),
                "--workers",
                "1",
            ],
            self.logs / "mlflow.log",
            env=env,
            cwd=folder,
        )

    def _start_broker(self) -> None:
        if self.own_broker:
            self.tick("starting Apache Kafka")
            port = None if self._free else int(self.settings.kafka.rsplit(":", 1)[1])
            self.broker = EmbeddedKafka(self.data / "kafka", port)
            self.broker.start()
            self._env[PREFIX + "KAFKA"] = self.broker.bootstrap
            self.settings = settings_from(self._env)
        else:
            self.tick(f"looking for Kafka at {self.settings.kafka}")
            asyncio.run(wait_for_kafka(self.settings.kafka, 15))

    def _export(self, copy: Path) -> None:
        self._env[PREFIX + "PROJECT"] = str(copy)
        self._env[PREFIX + "DATA_DIR"] = str(self.data)
        self._env["MLFLOW_TRACKING_URI"] = self._env["MLFLOW_REGISTRY_URI"] = self.settings.mlflow
        self.settings = settings_from(self._env)

    def _install_first_model(self, copy: Path) -> None:
        registry = Registry(self.settings.mlflow)
        model = self.settings.model
        version = registry.champion(model)
        if version is None:
            self.tick("registering the first model")
            Child(
                "the first model's registration",
                python("-m", f"{self.project.package}.publish", "--alias", "champion"),
                self.logs / "first-model.log",
                env=environment_of(copy, self._env),
                cwd=copy,
            ).wait(FIRST_MODEL_SECONDS)
            version = registry.champion(model)
            if version is None:
                raise UserError(
                    f"the project {self.project.name} published no champion of {model!r}: "
                    f"does its publish step register the model that ATALAIA_MODEL names?"
                )
        bundle = registry.bundle(model, version)
        event = ModelChanged(
            model=model,
            version=version,
            previous_version=None,
            action="installed",
            artifact_uri=bundle.artifact_uri,
            sha256=bundle.sha256,
            effective_from=self.settings.window_origin_ms,
            reason="the registry's champion when the platform was first started",
        )
        asyncio.run(_announce(self.settings, event))

    def _start_services(self) -> None:
        self.tick("starting the services")
        waiting = {}
        for name, module in SERVICES.items():
            child = Child(name, python("-m", module), self.logs / f"{name}.log", env=self._env, cwd=self.data)
            self.children[name] = child
            waiting[name] = (self.url(name) + "/health/ready", child)
        wait_until_ready(waiting, READY_SECONDS, self.tick, self.check)


async def _announce(settings: Settings, event: ModelChanged) -> None:
    """Publish ``event`` unless ``model-events``, which is the truth, already names a version."""
    async for batch in read_whole(settings, "model-events"):
        for record in batch:
            with contextlib.suppress(Unreadable):
                if decode(ModelChanged, record.value, record.headers).model == event.model:
                    return
    producer = await make_producer(settings, "atalaia-up")
    try:
        ce_id = derived_id("installed", event.model, event.version, event.sha256)
        await publish(producer, "model-events", event, source="atalaia", key=event.model, ce_id=ce_id)
    finally:
        await producer.stop()
