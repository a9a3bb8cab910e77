"""What each version predicts, and how its probabilities are calibrated: its profile says.

The registry is asked from a version's first record on, and again until it answers. A boundary waits for the first
answer, so that in ordinary times no report hangs on who was faster; it does not wait for a registry that is away. Where
records bear probabilities they name the classes, so quality is measured without a profile, but not estimated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from feedback.domain.task import Task

log = logging.getLogger(__name__)
Version = tuple[str, str]
Fetch = Callable[[str, str], Awaitable[Task]]
Observe = Callable[[str, Any], None]


class Tasks:
    """Tasks by version. ``missing`` are those that the registry was asked for in vain so far, and cannot be measured."""

    def __init__(
        self,
        fetch: Fetch,
        observe: Observe = lambda what, value: None,
        *,
        patience: float = 20.0,
        retry_seconds: float = 5.0,
    ) -> None:
        self._fetch, self._observe = fetch, observe
        self._patience, self._retry_seconds = patience, retry_seconds
        self._known: dict[Version, Task] = {}
        self._asking: dict[Version, asyncio.Task[None]] = {}
        self._first_answers: dict[Version, asyncio.Event] = {}  # of versions that no boundary waited for yet
        self._named: set[Version] = set()
        self.missing: set[Version] = set()

    def see(self, model: str, version: str, *, named: bool = False) -> None:
        """Take note of a version; ``named``: its records name the classes."""
        key = (model, version)
        if named:
            self._named.add(key)
            self.missing.discard(key)
        if key in self._known or key in self._asking:
            return
        self._first_answers[key] = asyncio.Event()
        self._asking[key] = asyncio.create_task(self._ask(key))

    def get(self, model: str, version: str) -> Task | None:
        """What a version predicts, None while that is not known."""
        return self._known.get((model, version))

    def stop(self) -> None:
        """Ask no more."""
        for asking in self._asking.values():
            asking.cancel()

    async def settle(self) -> None:
        """Return when each version is known or was asked for in vain once; after ``patience`` anyway."""
        waiting = list(self._first_answers.items())
        if not waiting:
            return
        try:
            async with asyncio.timeout(self._patience):
                for _, answered in waiting:
                    await answered.wait()
        except TimeoutError:
            for version, answered in waiting:
                if not answered.is_set():
                    self._miss(version, f"no answer within {self._patience:g} s")
        for version, _ in waiting:
            self._first_answers.pop(version, None)

    async def _ask(self, version: Version) -> None:
        answered = self._first_answers[version]
        while version not in self._known:
            try:
                self._known[version] = await self._fetch(*version)
            except Exception as error:  # noqa: BLE001  whatever the registry raises, the answer is to ask again
                self._miss(version, str(error))
                answered.set()
                await asyncio.sleep(self._retry_seconds)
        self.missing.discard(version)
        self._observe("profile", version)
        answered.set()

    def _miss(self, version: Version, why: str) -> None:
        if version in self._named:
            log.warning("no profile of %s version %s yet, its quality is not estimated: %s", *version, why)
            return
        self.missing.add(version)
        self._observe("no profile", version)
        log.warning("no profile of %s version %s yet, its quality is not measured: %s", *version, why)
