"""Profiles by version, fetched from the registry on demand."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from servicekit import metrics
from servicekit.errors import UserError
from summaries.profile import Profile

from drift_monitor.counting import Missing, Profiles, UnusableProfile

log = logging.getLogger(__name__)
MAX_KNOWN = 200  # profiles at hand
ASKED_SECONDS = 0.1  # how long others wait for a profile
UNREADABLE_TIMES = 3  # so often in a row: half a file may be read once, while it is written


class FetchedProfiles:
    """Fetches each profile once, and keeps trying: who needs it holds its records until it is there.

    One that is there and cannot be read (broken JSON, another schema version) will never be: it is given up,
    until the monitor is started again. ``fetch`` is blocking, the registry's client being so.
    """

    def __init__(self, fetch: Callable[[str, str], dict[str, Any]], retry_seconds: float = 1.0) -> None:
        self._fetch = fetch
        self._retry_seconds = retry_seconds
        self._known: dict[tuple[str, str], Profile] = {}
        self._missing: dict[tuple[str, str], Missing] = {}
        self._waiting: Counter[tuple[str, str]] = Counter()  # who waits for each

    def missing(self) -> list[Missing]:
        """What is waited for and is not there, and what will never be."""
        return list(self._missing.values())

    async def get(self, model: str, version: str) -> Profile:
        """The profile of a version; waits for as long as it takes, or raises :class:`UnusableProfile`."""
        key = (model, version)
        self._waiting[key] += 1
        try:
            return await self._get(key)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                self._let_go(key)

    def _let_go(self, key: tuple[str, str]) -> None:
        """Who waited last has it, or was cancelled: nothing is held for it here, and nobody would see it come."""
        if (missing := self._missing.get(key)) is not None and not missing.unusable:
            del self._missing[key]
            metrics.PROFILE_HELD.labels(*key).set(0)

    async def _get(self, key: tuple[str, str]) -> Profile:
        (model, version), unreadable = key, 0
        held = metrics.PROFILE_HELD.labels(model, version)
        while key not in self._known:
            if key in self._missing and self._missing[key].unusable:
                raise UnusableProfile(self._missing[key].reason)
            try:
                self._known[key] = await asyncio.to_thread(self._load, model, version)
                for old in list(self._known)[:-MAX_KNOWN]:
                    del self._known[old]  # it is fetched again where it is wanted again
                self._missing.pop(key, None)
                held.set(0)
                for warning in self._known[key].warnings:
                    log.warning("%s version %s: %s", model, version, warning)
            except Exception as error:  # noqa: BLE001  whatever the registry's client raises, the answer is to wait
                unreadable = unreadable + 1 if isinstance(error, UnusableProfile) else 0
                unusable = unreadable == UNREADABLE_TIMES
                self._note(key, str(error) or type(error).__name__, unusable)
                held.set(not unusable)
                if not unusable:
                    await asyncio.sleep(self._retry_seconds)
        return self._known[key]

    def _load(self, model: str, version: str) -> Profile:
        try:
            content = self._fetch(model, version)
        except Exception as error:
            if _is_no_json(error):
                raise UnusableProfile(str(error)) from None
            raise
        try:
            return Profile.from_dict(content)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
            raise UnusableProfile(f"its profile cannot be read: {what}") from None

    def _note(self, key: tuple[str, str], reason: str, unusable: bool) -> None:
        before = self._missing.get(key)
        since = before.since if before is not None else time.time_ns() // 1_000_000
        self._missing[key] = Missing(*key, since, reason, unusable)
        metrics.PROFILE_WAITS.labels(key[0]).inc()
        become = "are dead letters from now on" if unusable else "are held"
        log.warning("no profile of %s version %s, its records %s: %s", *key, become, reason)


class Asked:
    """Profiles that are waited for a while only: who needs one that is not there yet goes on with something else."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._asked: dict[tuple[str, str], asyncio.Future[Profile]] = {}

    async def get(self, model: str, version: str) -> Profile | None:
        """The profile of a version; None where it is not there yet. Raises :class:`UnusableProfile`."""
        key = (model, version)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._profiles.get(model, version))
            for old in list(self._asked)[:-MAX_KNOWN]:
                del self._asked[old]
        asked = self._asked[key]
        await asyncio.wait({asked}, timeout=ASKED_SECONDS)
        if not asked.done():
            return None
        try:
            return asked.result()
        except UnusableProfile:
            del self._asked[key]  # it may be asked for again
            raise

    def stop(self) -> None:
        """Ask for nothing more."""
        for asked in self._asked.values():
            asked.cancel()


def _is_no_json(error: BaseException) -> bool:
    """Whether a profile is there and is no JSON. The registry says it in words of its own: look at the cause.

    Where the *answer* of the registry is no JSON, its HTTP client raises an ``OSError``; that may pass.
    """
    if isinstance(error, UserError):
        error = error.__cause__ or error.__context__ or error
    return isinstance(error, json.JSONDecodeError | UnicodeDecodeError) and not isinstance(error, OSError)
