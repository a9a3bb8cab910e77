"""Profiles from the registry, each fetched once; what goes wrong is one line."""

from __future__ import annotations

import os
from collections.abc import Callable

from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import Registry
from summaries.profile import Profile


def profiles_of(settings: Settings, model: str) -> Callable[[str], Profile]:
    """The profile of a version of ``model``; raises :class:`UserError` where the registry does not give it."""
    # A person waits: the client's own patience is minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    registry, known = Registry(settings.mlflow), dict[str, Profile]()

    def profile(version: str) -> Profile:
        if version not in known:
            try:
                known[version] = Profile.from_dict(registry.profile(model, version))
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001  whatever the registry's client raises
                why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                raise UserError(
                    f"the registry at {settings.mlflow} (ATALAIA_MLFLOW) does not give the profile of {model} "
                    f"version {version}: {why}"
                ) from None
        return known[version]

    return profile
