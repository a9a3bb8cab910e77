"""A platform that somebody else runs, such as ``docker compose``: where its services are, and whether they answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from servicekit.errors import UserError

from atalaia.first_model import environment, settings_from
from atalaia.processes import get
from atalaia.project import Project
from atalaia.services import SERVICES, url_of

READY_SECONDS = 120


class Running:
    """As :class:`atalaia.up.Platform` towards who uses it; starts and stops nothing.

    Services are at ``ATALAIA_HOST`` and their ports, Kafka and MLflow where the settings say.
    """

    own_broker = False

    def __init__(
        self, project: Project, data: Path, tick: Callable[[str], None], seconds: float = READY_SECONDS
    ) -> None:
        self.settings = settings_from(environment(project))
        self.logs = data / "logs"
        self._tick, self._seconds = tick, seconds

    def url(self, service: str) -> str:
        """``http://host:port`` of a service."""
        return url_of(service, self.settings)

    def addresses(self) -> dict[str, str]:
        """What to open, by name."""
        return {name: self.url(name) for name in SERVICES} | {
            "MLflow": self.settings.mlflow,
            "Kafka": self.settings.kafka,
        }

    def check(self) -> None:
        """Nothing: who runs the services watches over them."""

    def __enter__(self) -> Running:
        """Wait until each service is ready; raises :class:`UserError` naming one that is not."""
        deadline = time.monotonic() + self._seconds
        for service in SERVICES:
            ready = self.url(service) + "/health/ready"
            self._tick(f"waiting for {service}")
            while (answer := get(ready))[0] != 200:
                if time.monotonic() > deadline:
                    what = f"HTTP {answer[0]}" if answer[0] else "nobody answers"
                    raise UserError(
                        f"{service} is not ready at {ready} ({what}): start it, or say where it is with ATALAIA_HOST and "
                        f"ATALAIA_{SERVICES[service].upper()}_PORT"
                    )
                time.sleep(0.5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is stopped."""
