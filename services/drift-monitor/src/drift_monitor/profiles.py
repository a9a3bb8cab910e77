"""Profiles by version, fetched from the registry on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from servicekit import metrics
from summaries.profile import Profile

log = logging.getLogger(__name__)


class FetchedProfiles:
    """Fetches each profile once, and keeps trying: who needs it holds its records until it is there.

    ``fetch`` is blocking, the registry's client being so.
    """

    def __init__(self, fetch: Callable[[str, str], dict[str, Any]], retry_seconds: float = 1.0) -> None:
        self._fetch = fetch
        self._retry_seconds = retry_seconds
        self._known: dict[tuple[str, str], Profile] = {}

    async def get(self, model: str, version: str) -> Profile:
        """The profile of a version; waits for as long as it takes."""
        while (model, version) not in self._known:
            try:
                content = await asyncio.to_thread(self._fetch, model, version)
                self._known[model, version] = Profile.from_dict(content)
            except Exception as error:  # noqa: BLE001  whatever the registry's client raises, the answer is to wait
                held = metrics.PROFILE_HELD.labels(model, version)
                metrics.PROFILE_WAITS.labels(model).inc()
                held.set(1)
                log.warning(
                    "no profile of %s version %s yet, its records are held: %s", model, version, error
                )
                await asyncio.sleep(self._retry_seconds)
                held.set(0)
        return self._known[model, version]
