"""Holding event time: the driver goes on when the loop has considered what it was given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from servicekit.errors import UserError

DEADLINE_SECONDS = 180.0
TRAINING_SECONDS = 600.0
PERSON_SECONDS = 3_600.0
ASKS = "waiting for approval"  # what the trainer's status says then


def asks(trainer: dict[str, Any]) -> bool:
    """Whether a trainer's status says that a person's word is waited for.

    >>> asks({"pending": "waiting for approval of version 2"}), asks({"pending": None}), asks({})
    (True, False, False)
    """
    return str(trainer.get("pending") or "").startswith(ASKS)


def when(ms: int | None) -> str:
    """Event time for people."""
    return "never" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


@dataclass
class Pauses:
    """How often and how long the driver held event time."""

    each: list[dict[str, Any]] = field(default_factory=list)

    def add(self, boundary: int, seconds: float, training: bool) -> None:
        self.each.append({"boundary": boundary, "seconds": round(seconds, 3), "training": training})

    def get(self) -> dict[str, Any]:
        """Totals, trainings apart from catching up."""
        long = [p for p in self.each if p["training"]]
        rest = [p for p in self.each if not p["training"]]
        return {
            "count": len(self.each),
            "seconds": round(sum(p["seconds"] for p in self.each), 1),
            "for_trainings": {"count": len(long), "seconds": round(sum(p["seconds"] for p in long), 1)},
            "to_catch_up": {"count": len(rest), "seconds": round(sum(p["seconds"] for p in rest), 1)},
            "longest": sorted(self.each, key=lambda p: -p["seconds"])[:5],
        }


class Loop:
    """The loop as seen through its services' HTTP statuses."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        urls: dict[str, str],
        check: Callable[[], None],
        news: Callable[[dict[str, Any]], None] = lambda status: None,
    ) -> None:
        self._session, self._urls, self._check, self._news = session, urls, check, news
        self.pauses = Pauses()

    async def get(self, service: str, path: str = "/api/v1.0/status") -> dict[str, Any]:
        """A service's JSON, or ``{}`` where it gives none."""
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            async with self._session.get(self._urls[service] + path, timeout=timeout) as answer:
                content = orjson.loads(await answer.read()) if answer.status == 200 else {}
                return content if isinstance(content, dict) else {}
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
            return {}

    async def wait_considered(self, boundary: int) -> None:
        """Until the trainer has considered ``boundary`` and trains no more, and its choice is served.

        A person is waited for too: a version that came to serve from ``boundary`` on after the next one was decided would
        leave that to its predecessor, and nobody would consider it.
        """
        start = free = progress = time.monotonic()
        trained, poll = False, 0.01
        while True:
            status = await self.get("trainer")
            self._news(status)
            running = bool(status.get("running"))
            person = asks(status)
            considered = status.get("considered_through")
            if (
                considered is not None
                and considered >= boundary
                and not running
                and not person
                and await self._serves(status)
            ):
                break
            now = time.monotonic()
            if running:
                trained, progress = True, now
            if person and now - start < PERSON_SECONDS:
                free = progress = now
            if now - free > TRAINING_SECONDS or now - progress > DEADLINE_SECONDS:
                raise UserError(await self._who_lags(boundary, now - start))
            self._check()
            await asyncio.sleep(poll)
            poll = min(0.1, poll * 1.5)
        self.pauses.add(boundary, time.monotonic() - start, trained)

    async def _serves(self, trainer: dict[str, Any]) -> bool:
        """Does the predictor serve what the trainer holds to be the champion?"""
        champion = trainer.get("version")
        if champion is None:
            return True
        return bool((await self.get("predictor", "/api/v1.0/model")).get("version") == champion)

    async def _who_lags(self, boundary: int, seconds: float) -> str:
        trainer, monitor, feedback = [await self.get(s) for s in ("trainer", "drift-monitor", "feedback")]
        serving = await self.get("predictor", "/api/v1.0/model")
        reached = {
            "drift-monitor": monitor.get("decided_through"),
            "feedback": feedback.get("decided_through"),
            "trainer": trainer.get("considered_through"),
        }
        late = next((name for name, at in reached.items() if at is None or at < boundary), "predictor (swap)")
        seen = ", ".join(f"{name} {when(at)}" for name, at in reached.items())
        return (
            f"the loop did not pass {when(boundary)} within {seconds:.0f} s: {late} lags "
            f"(reached: {seen}; version {serving.get('version')} serves, the trainer's is {trainer.get('version')}; "
            f"training: {trainer.get('running')}; {trainer.get('waiting_for') or 'it waits for nothing'})"
        )

    async def flush(self, until: int) -> None:
        """Close what a finished replay left open, up to ``until``."""
        for service in ("drift-monitor", "feedback"):
            url = self._urls[service] + "/api/v1.0/flush"
            try:
                async with self._session.post(url, data=orjson.dumps({"until": until})) as answer:
                    if answer.status >= 300:
                        text = (await answer.text())[:300]
                        raise UserError(f"{service} refused the flush: HTTP {answer.status} {text}")
            except aiohttp.ClientError as error:
                raise UserError(f"{service} did not take the flush: {error}") from None
