"""What could not be done: the same answer on each route, counted by its cause; whoever has left gets none."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from predictor.consumes.http import make_app
from predictor.domain.request import Invalid, TooLarge
from predictor.domain.service import NoModel, Predictor
from predictor.produces.predictions import NotPublished
from predictor_models import NOW, PERSON, Kafka, people, serving
from prometheus_client import REGISTRY
from scoring import Unscorable
from servicekit.http import Health

SINGLE, BATCH, INFER = "/api/v1.0/predict/", "/api/v1.0/predict/batch", "/v2/models/m/infer"
DATATYPES = {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES", type(None): "FP32"}
TENSORS = [
    {"name": name, "datatype": DATATYPES[type(value)], "shape": [1], "data": [value]}
    for name, value in PERSON.items()
]
BODIES: dict[str, Any] = {
    SINGLE: {"features": PERSON}, BATCH: {"rows": [PERSON]}, INFER: {"inputs": TENSORS},
}  # fmt: skip
LABELS = {SINGLE: SINGLE, BATCH: BATCH, INFER: "/v2/models/{name}/infer"}


def application(hot: bool) -> tuple[Any, Predictor]:
    """A predictor of people, its routes in front of FastAPI or behind it."""
    predictor = Predictor(Kafka())
    predictor.swap(people())
    app = make_app(
        predictor, Health(), max_body_bytes=9_999, event_time_required=False, clock=lambda: NOW, hot=hot
    )
    return app, predictor


def refused(route: str, cause: str) -> float:
    """How many requests of a route were refused for a cause, up to now."""
    labels = {"route": LABELS[route], "cause": cause}
    return REGISTRY.get_sample_value("atalaia_requests_refused_total", labels) or 0.0


@pytest.mark.parametrize("hot", [True, False], ids=["past FastAPI", "through FastAPI"])
@pytest.mark.parametrize(
    ("error", "status", "cause", "header"),
    [
        (Invalid([{"field": "x", "message": "is odd"}]), 422, "invalid", None),
        (TooLarge("more than fits"), 413, "too_large", None),
        (NoModel("none"), 503, "no_model", ("retry-after", "5")),
        (NotPublished("no Kafka"), 503, "not_recorded", ("retry-after", "5")),
        (Unscorable("the model failed"), 500, "not_scored", None),
        (RuntimeError("secret"), 500, "error", None),
        (OverflowError("secret"), 500, "error", None),
    ],
)
async def test_each_error_is_answered_alike_on_each_route(
    monkeypatch: pytest.MonkeyPatch, hot: bool, error: Exception, status: int, cause: str, header: Any
) -> None:
    """Status, title, detail and headers are one, /v2 has its own member besides, and the cause is counted."""
    app, predictor = application(hot)

    async def failing(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(predictor, "predict", failing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        answers = []
        for route, content in BODIES.items():
            before = refused(route, cause)
            answers.append(await client.post(route, json=content))
            assert refused(route, cause) == before + 1
    single, batch, infer = (answer.json() for answer in answers)
    assert {answer.status_code for answer in answers} == {status}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert header is None or {answer.headers[header[0]] for answer in answers} == {header[1]}
    assert "secret" not in single["detail"]
    assert single == batch == {name: value for name, value in infer.items() if name != "error"}
    assert infer["error"] == infer["detail"]


async def test_an_error_nobody_foresaw_is_logged_once_with_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns nothing of it, whoever runs the service all."""
    app, predictor = serving(people())

    async def failing(*_: Any) -> Any:
        raise KeyError("a place of its own")

    monkeypatch.setattr(predictor, "predict", failing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        for route, content in BODIES.items():
            caplog.clear()
            with caplog.at_level(logging.ERROR):
                await client.post(route, json=content)
            (record,) = caplog.records
            assert record.exc_info is not None
            assert isinstance(record.exc_info[1], KeyError)


@pytest.mark.parametrize("hot", [True, False], ids=["past FastAPI", "through FastAPI"])
@pytest.mark.parametrize("route", BODIES)
async def test_who_leaves_during_a_body_is_no_error(route: str, hot: bool) -> None:
    """The application returns: there is nobody to answer, nothing to count and nothing to report."""
    app, _ = application(hot)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": json.dumps(BODIES[route])[:9].encode(), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_: Any) -> None:
        pass

    def counted() -> float:
        samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
        return sum(sample.value for sample in samples if sample.name == "atalaia_requests_total")

    scope = {
        "type": "http", "method": "POST", "path": route, "raw_path": route.encode(), "query_string": b"", "headers": [],
        "root_path": "", "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("x", 1),
    }  # fmt: skip
    before = counted()
    await app(scope, receive, send)
    assert messages == []
    assert counted() == before
