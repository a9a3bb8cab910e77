"""A training is asked for over HTTP; what is no request is refused in plain words."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from contracts.events import ChallengerReviewed, TrainingDecided, TrainingRequested
from servicekit.http import Health
from trainer.consumes.http import make_app
from trainer_fakes import begun


def client(
    asked: list[Any], error: Exception | None = None, pending: TrainingDecided | None = None
) -> httpx.AsyncClient:
    """The app over a list in place of the topics."""

    async def ask(event: TrainingRequested | ChallengerReviewed) -> None:
        if error:
            raise error
        asked.append(event)

    app = make_app("m", lambda: {"model": "m"}, ask, Health(), ask, lambda: pending)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://trainer")


async def test_a_request_is_on_the_topic_before_it_is_accepted() -> None:
    """202 names the request by which its decision is found; an empty body is enough."""
    asked: list[TrainingRequested] = []
    http = client(asked)
    first = await http.post("/api/v1.0/trainings")
    second = await http.post(
        "/api/v1.0/trainings", json={"since": 5, "reason": "new sensors", "requested_by": "me"}
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert [first.json()["request_id"], second.json()["request_id"]] == [event.request_id for event in asked]
    assert (asked[1].model, asked[1].since, asked[1].reason) == ("m", 5, "new sensors")
    assert asked[0].since is None


@pytest.mark.parametrize("body", ["[]", "{", '{"since": "yesterday"}', '{"sinc": 5}'])
async def test_what_is_no_request_is_refused(body: str) -> None:
    """422 as RFC 9457 has it, and nothing is asked for."""
    asked: list[TrainingRequested] = []
    answer = await client(asked).post("/api/v1.0/trainings", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "request for a training" in answer.json()["detail"]
    assert asked == []


async def test_a_broker_that_is_away_is_said() -> None:
    """503: nobody was told, so it may be asked for again."""
    answer = await client([], ConnectionError("no broker")).post("/api/v1.0/trainings")
    assert (answer.status_code, answer.json()["detail"]) == (503, "Kafka did not take the request: no broker")


ASKS = msgspec.structs.replace(begun(), decision="waiting", waits_for="approval", challenger_version="2")
URL = f"/api/v1.0/trainings/{ASKS.run_id}/review"


async def test_a_word_on_the_run_that_is_pending_is_on_the_topic() -> None:
    """Yes or no, with its reason and who says so."""
    said: list[Any] = []
    word = {"approved": True, "reason": "read it", "reviewed_by": "us"}
    answer = await client(said, pending=ASKS).post(URL, json=word)
    assert (answer.status_code, answer.json()) == (202, {"run_id": ASKS.run_id})
    assert said == [ChallengerReviewed(run_id=ASKS.run_id, model="m", version="2", **word)]


@pytest.mark.parametrize(
    ("pending", "body", "status", "detail"),
    [
        (None, b'{"approved": true}', 409, "does not wait for anybody"),
        (ASKS, b"{}", 422, "not a word on a challenger"),
        (
            msgspec.structs.replace(ASKS, waits_for="shadow"),
            b'{"approved": true}',
            409,
            "it can only be refused",
        ),
    ],
)
async def test_a_word_that_nobody_waits_for_is_refused(
    pending: TrainingDecided | None, body: bytes, status: int, detail: str
) -> None:
    """And is on no topic."""
    said: list[Any] = []
    answer = await client(said, pending=pending).post(URL, content=body)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert said == []


@pytest.mark.parametrize("url", ["/api/v1.0/trainings", URL])
async def test_no_page_of_another_site_asks(url: str) -> None:
    """403, and nothing is on a topic."""
    said: list[Any] = []
    answer = await client(said, pending=ASKS).post(
        url, content=b'{"approved": true}', headers={"origin": "https://evil.example"}
    )
    assert (answer.status_code, said) == (403, [])
