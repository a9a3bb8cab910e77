"""The predictor over HTTP, with a real ONNX model and hand-written fakes for Kafka and the registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import onnx
import pytest
from contracts.codec import split_prediction_id
from contracts.events import ModelChanged, PredictionsMade
from onnx import TensorProto, helper, numpy_helper
from predictor.consumes.http import make_app
from predictor.consumes.model_events import Result, take_up
from predictor.domain.model import Model
from predictor.domain.service import Predictor
from predictor.produces.predictions import NotPublished
from prometheus_client import REGISTRY
from scoring import Unscorable
from servicekit.http import Health
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec, Profile

NOW = 1_700_000_000.0
FIELDS = [
    FieldSpec("age", "float32", unit="a", description="age", min=0, max=150),
    FieldSpec("children", "int64"),
    FieldSpec("income", "float32", optional=True),
    FieldSpec("town", "string", description="where"),
]


def make_onnx(bias: float) -> bytes:
    """P(yes) = sigmoid(0.1 * age + bias); the other inputs are taken and ignored."""
    inputs = [
        helper.make_tensor_value_info("age", TensorProto.FLOAT, [None, 1]),
        helper.make_tensor_value_info("children", TensorProto.INT64, [None, 1]),
        helper.make_tensor_value_info("income", TensorProto.FLOAT, [None, 1]),
        helper.make_tensor_value_info("town", TensorProto.STRING, [None, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
    ]
    constants = {"slope": np.float32([0.1]), "bias": np.float32([bias]), "one": np.float32([1])}
    names = helper.make_tensor("names", TensorProto.STRING, [2], [b"no", b"yes"])
    nodes = [
        helper.make_node("Mul", ["age", "slope"], ["x"]),
        helper.make_node("Add", ["x", "bias"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["at"], axis=1, keepdims=0),
        helper.make_node("Gather", ["names", "at"], ["label"]),
    ]
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [*(numpy_helper.from_array(v, k) for k, v in constants.items()), names]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_profile(fields: list[FieldSpec] = FIELDS) -> dict[str, Any]:
    """A profile with three reference rows."""
    columns: dict[str, Any] = {
        "age": [30.0, 40.0, 50.0], "children": [0, 1, 2], "income": [1.0, None, 3.0], "town": ["A", "A", "B"],
        "more": [1.0, 2.0, 3.0],
    }  # fmt: skip
    return Profile.build(
        columns, fields, predictions=["no", "yes"], probabilities={"no": [0.6, 0.4], "yes": [0.4, 0.6]},
        target="answer", classes=["no", "yes"], task="classification",
    ).to_dict()  # fmt: skip


class Registry:
    """Versions in a dictionary."""

    def __init__(self) -> None:
        self.bundles: dict[str, ModelBundle] = {}

    def add(self, version: str, content: bytes, profile: dict[str, Any] | None = None) -> ModelChanged:
        """Register a version; the event that announces it."""
        checksum = hashlib.sha256(content).hexdigest()
        self.bundles[version] = ModelBundle(
            "m", version, content, checksum, "", profile or make_profile(), []
        )
        return ModelChanged(
            model="m", version=version, previous_version=None, action="promoted", artifact_uri="",
            sha256=checksum, effective_from=0, reason="",
        )  # fmt: skip

    def champion(self, model: str) -> str | None:
        """No alias."""
        return None

    def bundle(self, model: str, version: str) -> ModelBundle:
        """As the real one."""
        return self.bundles[version]


class Served:
    """An application with version 1, what it published, and a client."""

    def __init__(self, required: bool = False, limit: int = 100_000, hot: bool = True) -> None:
        self.published: list[PredictionsMade] = []
        self.broken = False
        self.registry = Registry()
        self.predictor = Predictor(self)
        self.predictor.swap(Model("m", "1", make_onnx(-4), make_profile()))
        self.app = make_app(
            self.predictor,
            Health(),
            max_body_bytes=limit,
            event_time_required=required,
            clock=lambda: NOW,
            hot=hot,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://x")

    def admit(self, size: int) -> None:
        """There is room."""

    def release(self, size: int) -> None:
        """There is more again."""

    async def publish(self, event: PredictionsMade) -> None:
        """Kafka, as far as the predictor sees it."""
        await asyncio.sleep(0)
        if self.broken:
            raise NotPublished("Kafka did not acknowledge")
        self.published.append(event)

    async def single(self, **content: Any) -> httpx.Response:
        """POST one row."""
        return await self.client.post("/api/v1.0/predict/", json=content)


GOOD = {"age": 50, "children": 1, "income": None, "town": "A"}


@pytest.fixture(params=[True, False], ids=["past FastAPI", "through FastAPI"])
def served(request: pytest.FixtureRequest) -> Served:
    """A fresh application, with the quick routes in front of FastAPI and without."""
    return Served(hot=request.param)


async def test_a_row_is_scored_published_and_answered(served: Served) -> None:
    """The answer carries the target by its own name, and the published event says the same."""
    answer = await served.single(features=GOOD, event_time=1_600_000_000_000)
    assert answer.status_code == 200
    body = answer.json()
    (event,) = served.published
    assert body["answer"] == "yes" == event.predictions[0]
    assert body["probabilities"]["yes"] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)
    assert (body["model"], body["version"]) == ("m", "1")
    assert split_prediction_id(body["prediction_id"]) == (event.batch_id, 0)
    assert event.event_time == [1_600_000_000_000]
    assert event.features == {name: [value] for name, value in GOOD.items()}


async def test_a_batch_is_one_record(served: Served) -> None:
    """N rows are scored together and published as one event, in order."""
    rows = [GOOD | {"age": age} for age in (10, 90, 40)]
    times = [10**12 + 3, 10**12 + 1, 10**12 + 2]
    answer = await served.client.post("/api/v1.0/predict/batch", json={"rows": rows, "event_time": times})
    body = answer.json()
    (event,) = served.published
    assert [p["answer"] for p in body["predictions"]] == ["no", "yes", event.predictions[2]]
    assert event.features["age"] == [10, 90, 40]
    assert event.event_time == times
    assert [split_prediction_id(p["prediction_id"])[1] for p in body["predictions"]] == [0, 1, 2]


async def test_a_large_batch_is_split_into_records(served: Served) -> None:
    """No record nears Kafka's limit; ids and order go through all of them."""
    big = Served(limit=10_000_000)
    rows = [GOOD | {"age": i % 100, "town": "x" * 400} for i in range(2_000)]
    answer = await big.client.post("/api/v1.0/predict/batch", json={"rows": rows})
    assert answer.status_code == 200
    assert len(big.published) > 1
    assert max(len(msgspec.json.encode(e)) for e in big.published) < 900_000
    assert [a for e in big.published for a in e.features["age"]] == [i % 100 for i in range(2_000)]
    assert len({p["prediction_id"] for p in answer.json()["predictions"]}) == 2_000


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"age": ...}, "age", "missing"),
        ({"extra": 1}, "extra", "not a feature"),
        ({"age": "50"}, "age", "must be a number, not a string"),
        ({"age": True}, "age", "not a boolean"),
        ({"age": None}, "age", "not be null"),
        ({"age": -1}, "age", "at least 0 a"),
        ({"age": 151}, "age", "at most 150 a"),
        ({"income": 1e39}, "income", "32-bit"),
        ({"children": 1.5}, "children", "integer"),
        ({"children": 2**63}, "children", "64-bit"),
        ({"town": 3}, "town", "must be a string"),
        ({"town": ["A"]}, "town", "an array"),
    ],
)
async def test_a_bad_feature_is_named(served: Served, change: dict[str, Any], field: str, said: str) -> None:
    """A missing, extra, mistyped or impossible feature gets 422 with its name, and nothing is published."""
    features = {k: v for k, v in (GOOD | change).items() if v is not ...}
    answer = await served.single(features=features)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert said in error["message"]
    assert served.published == []


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_is_not_finite_is_refused(served: Served, text: str) -> None:
    """Neither the literals JSON lacks nor an overflowing one gets through, and the field is named."""
    body = json.dumps({"features": GOOD}).replace('"age": 50', f'"age": {text}')
    answer = await served.client.post("/api/v1.0/predict/", content=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "age", "message": "must be finite"}]
    assert served.published == []


@pytest.mark.parametrize(
    ("features", "field", "said"),
    [
        ('"age": NaN, "age": 1' + "0" * 400, "age", "is too large for a 32-bit float"),
        ('"children": NaN, "children": 1' + "0" * 400, "children", "is too large for a 64-bit integer"),
        ('"age": NaN, "age": 1, "town": "\\ud800"', "town", "must be text: half a surrogate pair is none"),
        ('"town": "\\udfff"', "town", "must be text: half a surrogate pair is none"),
        ('"age": NaN, "age": 1, "\\ud800": 1', "\\ud800", "is not a feature of this model"),
    ],
)
async def test_what_only_pythons_json_reads_is_named(
    served: Served, features: str, field: str, said: str
) -> None:
    """A number of any length and half a surrogate pair, which get in beside a NaN, are refused by the field's name."""
    body = json.dumps(GOOD)[:-1] + ", " + features + "}"
    for route, content in (("", f'{{"features": {body}}}'), ("batch", f'{{"rows": [{body}]}}')):
        answer = await served.client.post(f"/api/v1.0/predict/{route}", content=content)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert (error["field"], error["message"]) == (field, said)
    assert served.published == []


async def test_a_bad_row_of_a_batch_is_named_with_its_row(served: Served) -> None:
    """The error says which row, and no row of the batch is scored."""
    rows = [GOOD, GOOD | {"age": "x"}]
    answer = await served.client.post("/api/v1.0/predict/batch", json={"rows": rows})
    assert answer.json()["errors"] == [
        {"field": "age", "message": "must be a number, not a string", "row": 1}
    ]
    assert served.published == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        '{"features": {"\\ud800": NaN}, "rows": [{"\\ud800": NaN}]}',
        '{"rows": 3}',
        '{"features": 3}',
        '{"features": {}, "x": 1}',
    ],
)
async def test_a_malformed_body_is_a_problem(served: Served, content: str) -> None:
    """Whatever is sent, the answer is a 422 problem that names a field."""
    for route in ("/api/v1.0/predict/", "/api/v1.0/predict/batch"):
        answer = await served.client.post(route, content=content)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"]


async def test_event_time_is_checked(served: Served) -> None:
    """ISO 8601 with offset is taken; the future, a naive time and a missing required one are refused."""
    assert (await served.single(features=GOOD, event_time="2020-01-01T00:00:00+01:00")).status_code == 200
    assert served.published[0].event_time == [1_577_833_200_000]
    for wrong in ((NOW + 301) * 1000, "2020-01-01T00:00:00", "soon", True, -1, int((NOW + 301) * 1000)):
        answer = await served.single(features=GOOD, event_time=wrong)
        assert answer.json()["errors"][0]["field"] == "event_time", wrong
    answer = await Served(required=True).single(features=GOOD)
    assert "required" in answer.json()["errors"][0]["message"]


async def test_a_body_over_the_limit_is_413() -> None:
    """An oversized body is refused before it is parsed."""
    assert (await Served(limit=50).single(features=GOOD)).status_code == 413


async def test_without_kafka_nothing_is_promised(served: Served) -> None:
    """A prediction that Kafka did not acknowledge is a 503 with Retry-After, and no id is given out."""
    served.broken = True
    answer = await served.single(features=GOOD)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "prediction_id" not in answer.json()


async def test_a_swap_loses_no_request(served: Served) -> None:
    """Requests under way end on the version they began with, later ones get the new one, none fails."""
    asked = [asyncio.create_task(served.single(features=GOOD)) for _ in range(50)]
    event = served.registry.add("2", make_onnx(4))
    assert await take_up(served.predictor, served.registry, event) is Result.TAKEN_UP
    asked += [asyncio.create_task(served.single(features=GOOD)) for _ in range(50)]
    answers = [await task for task in asked]
    assert {a.status_code for a in answers} == {200}
    assert answers[-1].json()["version"] == "2"
    by_batch = {e.batch_id: e for e in served.published}
    for answer in answers:
        body = answer.json()
        event = by_batch[split_prediction_id(body["prediction_id"])[0]]
        expected = 1 / (1 + np.exp(-(5 + {"1": -4, "2": 4}[event.version])))
        assert event.version == body["version"]
        assert body["probabilities"]["yes"] == pytest.approx(expected, rel=1e-5)


async def test_a_rollback_asks_no_registry_and_loses_no_request(served: Served) -> None:
    """The version before is loaded still: it serves again at once, and so does the one that it replaces."""
    first = served.predictor.model
    forward = served.registry.add("2", make_onnx(4))
    assert await take_up(served.predictor, served.registry, forward) is Result.TAKEN_UP
    second = served.predictor.model
    served.registry.bundles.clear()
    back = msgspec.structs.replace(
        forward, version="1", previous_version="2", action="rolled_back", sha256=first.sha256
    )
    answers = []
    for event, model in ((back, first), (forward, second), (back, first)):
        asked = [asyncio.create_task(served.single(features=GOOD)) for _ in range(20)]
        await asyncio.sleep(0)  # they are under way
        assert await take_up(served.predictor, served.registry, event) is Result.TAKEN_UP
        assert served.predictor.model is model
        answers += [await task for task in asked]
    assert (await served.single(features=GOOD)).json()["version"] == "1"
    assert {a.status_code for a in answers} == {200}
    recorded = {e.batch_id: e.version for e in served.published}
    for body in (answer.json() for answer in answers):
        assert recorded[split_prediction_id(body["prediction_id"])[0]] == body["version"]


async def test_a_bad_version_leaves_the_old_one_serving(served: Served) -> None:
    """Broken bytes, a wrong checksum, other fields or signature: each is refused, version 1 serves on."""
    registry = served.registry
    other = [*FIELDS, FieldSpec("more", "float32")]
    bad = [
        registry.add("2", b"not a model"),
        msgspec.structs.replace(registry.add("3", make_onnx(0)), sha256="0" * 64),
        registry.add("4", make_onnx(0), make_profile(other)),
        registry.add("5", make_onnx(0), {"schema_version": 99}),
        registry.add("6", make_onnx(float("nan"))),
        registry.add("7", make_onnx(0)),
    ]
    registry.bundles["7"] = replace(registry.bundles["7"], signature=[{"name": "age"}])
    before = REGISTRY.get_sample_value("atalaia_model_swaps_total", {"result": "refused"}) or 0
    for event in bad:
        assert await take_up(served.predictor, registry, event) is Result.REFUSED
        assert (await served.single(features=GOOD)).json()["version"] == "1"
    after = REGISTRY.get_sample_value("atalaia_model_swaps_total", {"result": "refused"})
    assert after == before + len(bad)


async def test_a_registry_that_is_away_is_not_a_bad_version(served: Served) -> None:
    """What the registry did not give may be asked for again; version 1 serves on meanwhile."""
    event = served.registry.add("2", make_onnx(0))
    bundle = served.registry.bundles.pop("2")
    assert await take_up(served.predictor, served.registry, event) is Result.UNREACHABLE
    assert served.predictor.model.version == "1"
    served.registry.bundles["2"] = bundle
    assert await take_up(served.predictor, served.registry, event) is Result.TAKEN_UP


@pytest.mark.parametrize("raised", [StopIteration, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_whatever_the_registry_raises_the_attempt_ends(
    served: Served, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    """Even what a future cannot hold, or what would end the process, is one failed attempt."""

    def fail(*_: object) -> None:
        raise raised("no file")

    event = served.registry.add("2", make_onnx(0))
    monkeypatch.setattr(served.registry, "bundle", fail)
    async with asyncio.timeout(10):
        assert await take_up(served.predictor, served.registry, event) is Result.UNREACHABLE
    assert served.predictor.model.version == "1"


async def test_a_model_that_fails_on_a_row_is_a_problem(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that cannot be scored give a 500 problem, and nothing is published."""

    def fail(*_: object) -> None:
        raise Unscorable("no")

    monkeypatch.setattr(served.predictor.model, "score", fail)
    answer = await served.single(features=GOOD)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert served.published == []


async def test_an_unknown_path_is_a_problem(served: Served) -> None:
    """Errors that no route of ours answers have the same form."""
    for answer in (await served.client.get("/nowhere"), await served.client.get("/api/v1.0/predict/")):
        assert answer.status_code in (404, 405)
        assert answer.json()["status"] == answer.status_code


async def test_the_documentation_is_the_served_models(served: Served) -> None:
    """OpenAPI names the model's own fields with types, units and ranges, and its example can be sent."""
    document = (await served.client.get("/openapi.json")).json()
    features = document["components"]["schemas"]["Features"]
    assert features["properties"]["age"]["maximum"] == 150
    assert features["properties"]["age"]["description"] == "age (a)"
    assert features["properties"]["income"]["type"] == ["number", "null"]
    assert features["required"] == ["age", "children", "town"]
    assert (await served.single(features=features["examples"][0])).status_code == 200
    event = served.registry.add("2", make_onnx(0))
    await take_up(served.predictor, served.registry, event)
    assert "version 2" in (await served.client.get("/openapi.json")).json()["info"]["description"]
    for page in ("/docs", "/redoc"):
        assert "'self'" in (await served.client.get(page)).headers["content-security-policy"]


async def test_before_a_model_is_there_the_answer_is_503() -> None:
    """No model yet: a problem with Retry-After."""
    empty = Served()
    empty.predictor._model = None
    answer = await empty.single(features=GOOD)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
