"""The registry, asked by a person who waits; what goes wrong is one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import Registry

T = TypeVar("T")


def impatient(settings: Settings, seconds: int = 10, retries: int = 1) -> Registry:
    """The registry of the settings; its client's own patience is minutes. ``seconds`` are a request's."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(retries))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(seconds))
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Registry(settings.mlflow)


def given(registry: Registry, what: str, ask: Callable[[], T]) -> T:
    """What ``ask`` returns; raises :class:`UserError` naming ``what`` the registry does not give."""
    try:
        return ask()
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  whatever the registry's client raises
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(
            f"the registry at {registry.uri} (ATALAIA_MLFLOW) does not give {what}: {why}"
        ) from None
