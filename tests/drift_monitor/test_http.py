"""The monitor's doors over HTTP, without a broker."""

from __future__ import annotations

import httpx
import pytest
from drift_monitor.consumes.http import make_routes
from drift_monitor.domain.owner import MAX_EMPTY
from starlette.applications import Starlette

HOUR = 3_600_000
NOW = 1_700_000_000_000
FLUSH = "/api/v1.0/flush"


def client(flushed: list[int], newest: int | None) -> httpx.AsyncClient:
    """The routes over a list in place of the log."""

    async def flush(until: int) -> None:
        flushed.append(until)

    app = Starlette(routes=make_routes(HOUR, dict, lambda: newest, flush, now=lambda: NOW))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://monitor")


@pytest.mark.parametrize("newest", [None, NOW - HOUR, NOW])
async def test_a_flush_is_no_further_ahead_than_a_row_may_be(newest: int | None) -> None:
    """Five minutes: rows that come before ``until`` are late for good, so one of next week would blind the monitor."""
    flushed: list[int] = []
    for until, status in ((NOW + 300_000, 200), (NOW + 300_001, 422), (NOW + 168 * HOUR, 422)):
        answer = await client(flushed, newest).post(FLUSH, json={"until": until})
        assert answer.status_code == status
        if status == 422:
            assert "five minutes" in answer.json()["detail"]
            assert answer.json()["field"] == "until"
    assert flushed == [NOW + 300_000]


async def test_a_replay_of_the_past_is_ended() -> None:
    """What lies in the past goes by its newest row: so many windows behind it at the most."""
    flushed: list[int] = []
    for until, status in ((5 * HOUR, 200), (HOUR * (MAX_EMPTY + 2), 422)):
        assert (await client(flushed, HOUR).post(FLUSH, json={"until": until})).status_code == status
    assert flushed == [5 * HOUR]


async def test_no_page_of_another_site_flushes() -> None:
    """403, though a browser sends such a body without asking."""
    flushed: list[int] = []
    headers = {"origin": "https://evil.example", "content-type": "text/plain"}
    answer = await client(flushed, HOUR).post(FLUSH, content=b'{"until": 1}', headers=headers)
    assert (answer.status_code, flushed) == (403, [])
