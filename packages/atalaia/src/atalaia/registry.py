"""The registry, asked by a person who waits; what goes wrong is one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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


def must_have(registry: Registry, model: str, version: str, known: Sequence[str]) -> None:
    """Raise :class:`UserError` where the registry, of which ``known`` are all versions of a model, has not this one."""
    if version not in known:
        has = f"it has {', '.join(known)}" if known else "it has no version of it"
        raise UserError(f"the registry at {registry.uri} has no version {version} of {model}: {has}.")


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
