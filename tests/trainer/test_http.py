"""A training is asked for over HTTP; what is no request is refused in plain words."""

from __future__ import annotations

import httpx
import pytest
from contracts.events import TrainingRequested
from servicekit.http import Health
from trainer.consumes.http import make_app


def client(asked: list[TrainingRequested], error: Exception | None = None) -> httpx.AsyncClient:
    """The app over a list in place of the topic."""

    async def ask(event: TrainingRequested) -> None:
        if error:
            raise error
        asked.append(event)

    app = make_app("m", lambda: {"model": "m"}, ask, Health())
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
