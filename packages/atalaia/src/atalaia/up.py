"""The whole platform on one machine: broker, MLflow, a first model, the four services."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import wait_for_kafka
from servicekit.topics import ensure_topics

from atalaia.first_model import PREFIX, environment, install, pipeline, settings_from
from atalaia.ports import require_free
from atalaia.processes import Child, python, wait_until_ready
from atalaia.project import Project, repository_of
from atalaia.scrape_targets import write_targets
from atalaia.services import SERVICES, url_of

READY_SECONDS = 180


class Platform:
    """``with Platform(project, data) as platform:`` everything answers inside, and nothing is left after.

    ``free_ports`` takes whatever ports are free (a demonstration); otherwise an occupied one is an error.
    ``prometheus_targets``: a file that says to Prometheus where the services are, while they run.
    """

    def __init__(
        self,
        project: Project,
        data: Path,
        *,
        free_ports: bool = False,
        env: dict[str, str] | None = None,
        tick: Callable[[str], None] = lambda _: None,
        prometheus_targets: Path | None = None,
    ) -> None:
        self.project, self.data, self.tick = project, data.resolve(), tick
        self._targets = prometheus_targets
        self._told: Path | None = None
        self.own_broker = PREFIX + "KAFKA" not in os.environ
        self.children: dict[str, Child] = {}
        self.broker: EmbeddedKafka | None = None
        self._free = free_ports
        self._env = environment(project, env)
        if free_ports:
            for service in SERVICES.values():
                self._env[f"{PREFIX}{service.upper()}_PORT"] = str(free_port())
        self.settings = settings_from(self._env)
        self.logs = self.data / "logs"

    # -- addresses ---------------------------------------------------------------------------------
    def url(self, service: str) -> str:
        """``http://host:port`` of a service."""
        return url_of(service, self.settings)

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
        if self._told:
            self._told.unlink(missing_ok=True)
            self._told = None
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
        if self.own_broker:
            _require_plain(s)
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
        log = self.logs / "first-model.log"
        with pipeline(copy, self._env, log, self.settings.training_timeout_s):
            self._start_broker()
            self._export(copy)
            asyncio.run(ensure_topics(self.settings))
            self.tick("training the first model")
        if own_mlflow:
            child = self.children["mlflow"]
            wait_until_ready(
                {"mlflow": (self.settings.mlflow + "/health", child)}, READY_SECONDS, self.tick, self.check
            )
        install(self.project, copy, self._env, self.settings, log, self.tick)
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
            asyncio.run(wait_for_kafka(self.settings, 15))

    def _export(self, copy: Path) -> None:
        self._env[PREFIX + "PROJECT"] = str(copy)
        self._env[PREFIX + "DATA_DIR"] = str(self.data)
        self._env["MLFLOW_TRACKING_URI"] = self._env["MLFLOW_REGISTRY_URI"] = self.settings.mlflow
        self.settings = settings_from(self._env)

    def _start_services(self) -> None:
        self.tick("starting the services")
        waiting = {}
        for name, module in SERVICES.items():
            child = Child(name, python("-m", module), self.logs / f"{name}.log", env=self._env, cwd=self.data)
            self.children[name] = child
            waiting[name] = (self.url(name) + "/health/ready", child)
        if self._targets:  # before they are ready: what they count until then is seen to grow from 0
            write_targets(self._targets, {name: self.url(name) for name in SERVICES})
            self._told = self._targets
        wait_until_ready(waiting, READY_SECONDS, self.tick, self.check)


def _require_plain(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol
    if protocol != "PLAINTEXT":
        raise UserError(
            f"The broker that is started here speaks PLAINTEXT, but {PREFIX}KAFKA_SECURITY_PROTOCOL is {protocol}: "
            f"set {PREFIX}KAFKA to yours, or unset it."
        )
