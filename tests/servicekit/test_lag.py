"""How far behind a service is, as it shows it."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Gauge
from servicekit.lag import watch_lag


async def test_the_lag_is_shown_again_and_again() -> None:
    """Each look asks where the log ends and how far the service is, and a partition nobody has begun counts whole."""
    registry = CollectorRegistry()
    gauge = Gauge("lag", "records", ["topic"], registry=registry)
    ends, positions, asked = {0: 10, 1: 5}, {0: 4}, asyncio.Event()

    async def look() -> dict[int, int]:
        asked.set()
        return ends

    def shown() -> float | None:
        return registry.get_sample_value("lag", {"topic": "predictions"})

    watching = asyncio.create_task(watch_lag(gauge, "predictions", look, lambda: positions, every=0.001))
    try:
        await asyncio.wait_for(asked.wait(), 10)
        await asyncio.sleep(0)
        assert shown() == 11
        positions.update({0: 10, 1: 5})
        async with asyncio.timeout(10):
            while shown() != 0:  # noqa: ASYNC110  nobody tells, it has to be asked
                await asyncio.sleep(0.001)
    finally:
        watching.cancel()
