"""The OpenAPI document and what is really served: schemathesis holds one against the other and finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from predictor.domain.model import Model
from predictor.domain.request import SECONDS_BELOW
from predictor.openapi import document
from predictor_models import Kafka, people, pictures, serving, sums
from schemathesis_findings import findings
from summaries.profile import FieldSpec

LATE = 2**53 / 1000  # seconds: every time that the document allows has been
SETTINGS: dict[str, Any] = {
    # No JSON Schema says that tensors fill their shapes and have as many rows each: see the test of valid tensors.
    "operations": [
        {"include-path-regex": "/infer$", "checks": {"positive_data_acceptance": {"enabled": False}}}
    ],
}
ODD = [
    FieldSpec('a "b"/{c}~é', "float32"),
    FieldSpec("\\", "string", optional=True),
    FieldSpec("a.b c", "bool"),
]


def odd() -> Model:
    """People whose features have names that are no identifiers."""
    return people(fields=ODD)


MODELS: list[tuple[Callable[[], Model], bool]] = [
    (people, False),
    (sums, True),
    (pictures, False),
    (odd, True),
]


def fit(body: Any) -> Any:
    """A batch with one event time a row has as many of both, which no schema can say; nothing in it is lost."""
    if not isinstance(body, dict):
        return body
    rows, times = body.get("rows"), body.get("event_time")
    if not isinstance(rows, list) or not isinstance(times, list) or not rows or not times:
        return body
    return body | {"rows": rows * len(times), "event_time": [time for time in times for _ in rows]}


@pytest.mark.parametrize(("make", "required"), MODELS)
def test_schemathesis_finds_nothing(make: Callable[[], Model], required: bool) -> None:
    """All checks, valid and invalid requests, on every route: what is served is what the document says."""
    app, _ = serving(make(), limit=10_000_000, required=required, now=LATE)
    found, requests = findings(app, SETTINGS, fit)
    assert found == []
    assert requests > 300


def test_schemathesis_would_find_a_document_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: a range that is not checked, and a status that is not told of, are found."""
    said: dict[str, Any] = document(sums(), False)
    said["components"]["schemas"]["Features"]["properties"]["a"]["maximum"] = 2000
    del said["paths"]["/api/v1.0/predict/batch"]["post"]["responses"]["422"]
    monkeypatch.setattr("predictor.consumes.http.app.document", lambda *_: said)
    found, _ = findings(serving(sums(), limit=10_000_000, now=LATE)[0], SETTINGS, fit, examples=3)
    text = "\n".join(found)
    assert "/api/v1.0/predict/: Schema-valid request rejected" in text
    assert "/api/v1.0/predict/batch: Undocumented status code" in text


def values(field: FieldSpec) -> st.SearchStrategy[Any]:
    """Values that the field takes."""
    low, high = field.min, field.max
    number = st.floats(
        np.float32(low if low is not None else -3.4e38),
        np.float32(high if high is not None else 3.4e38),
        width=32,
    )
    of = {
        "float32": number,
        "int64": st.integers(int(low) if low is not None else -(2**63), 2**63 - 1),
        "bool": st.booleans(),
        "string": st.text(max_size=10),
        "vector": st.lists(number, min_size=field.length, max_size=field.length),
    }[field.dtype]
    return st.none() | of if field.optional else of


DATATYPES = {"float32": "FP64", "int64": "INT64", "bool": "BOOL", "string": "BYTES", "vector": "FP32"}


@st.composite
def inferences(draw: st.DrawFn, model: Model) -> dict[str, Any]:
    """A valid request of the Open Inference Protocol, in JSON."""
    n = draw(st.integers(1, 4))
    inputs = []
    for field in draw(st.permutations(model.fields)):
        if field.optional and draw(st.booleans()):
            continue
        column = draw(st.lists(values(field), min_size=n, max_size=n))
        shape = [n, *(field.shape or draw(st.sampled_from([(), (1,)])))]
        data = [number for vector in column for number in vector] if field.shape else column
        inputs.append({"name": field.name, "datatype": DATATYPES[field.dtype], "shape": shape, "data": data})
    times = st.integers(SECONDS_BELOW, 2**53 - 1)
    content: dict[str, Any] = {"inputs": inputs, "parameters": {"event_time": draw(times)}}
    if draw(st.booleans()):
        content["id"] = draw(st.text(max_size=5))
    return content


@pytest.mark.parametrize("make", [people, sums, pictures, odd])
def test_valid_tensors_are_accepted_and_answered_as_documented(make: Callable[[], Model]) -> None:
    """What schemathesis cannot make from the schema: requests that fit the model go through, each row recorded."""
    model, kafka = make(), Kafka()
    app, _ = serving(model, kafka, limit=10_000_000, required=True, now=LATE)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = schema["/v2/models/{name}/infer"]["POST"]
    request = Draft202012Validator(
        {"$ref": "#/components/schemas/InferenceRequest", "components": schema.raw_schema["components"]}
    )

    @settings(max_examples=40, derandomize=True, deadline=None, database=None)
    @given(inferences(model))
    def check(content: dict[str, Any]) -> None:
        kafka.published.clear()
        request.validate(content)
        case = operation.Case(
            path_parameters={"name": model.name}, body=content, media_type="application/json"
        )
        answer = case.call()
        assert answer.status_code == 200, answer.text
        operation.validate_response(answer)
        assert answer.json().get("id") == content.get("id")
        assert sum(len(event.predictions) for event in kafka.published) == content["inputs"][0]["shape"][0]

    check()


@pytest.mark.parametrize(("make", "required"), MODELS)
async def test_the_documents_examples_can_be_sent(make: Callable[[], Model], required: bool) -> None:
    """Each example request of the document is answered 200, with what the example answer has."""
    app, _ = serving(make(), required=required)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x")
    said = (await client.get("/openapi.json")).json()
    sent = 0
    for path, operations in said["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        if "example" in content.get("application/json", {}):
            parameters = {p["name"]: p["schema"]["enum"][0] for p in operations.get("parameters", [])}
            answer = await client.post(path.format(**parameters), json=content["application/json"]["example"])
            assert answer.status_code == 200, answer.text
            said_answer = operations["post"]["responses"]["200"]["content"]["application/json"]
            assert answer.json().keys() == said_answer.get("example", answer.json()).keys()
            sent += 1
    assert sent == 4


def test_the_document_says_what_the_model_takes() -> None:
    """Fields with types, units, ranges, null where a value may be missing, and known categories as examples."""
    features = document(people(), False)["components"]["schemas"]["Features"]
    age, children, income, member, town = features["properties"].values()
    assert (age["type"], age["minimum"], age["maximum"], age["x-unit"]) == ("number", 0, 150, "a")
    assert age["description"] == "age (a)"
    assert (children["type"], children["minimum"], children["maximum"]) == ("integer", 0, 2**63 - 1)
    assert income["type"] == ["number", "null"]
    assert member["type"] == "boolean"
    assert (town["type"], set(town["examples"])) == (["string", "null"], {"A", "B"})
    assert features["required"] == ["age", "children", "member"]
    image = document(pictures(), False)["components"]["schemas"]["Features"]["properties"]["image"]
    assert (image["minItems"], image["maxItems"], image["items"]["maximum"]) == (6, 6, 1)
    assert "shape [2, 3]" in image["description"]


def test_the_document_says_what_the_model_answers() -> None:
    """The target under its own name with the classes it can be, and a probability for each."""
    row = document(people(), False)["components"]["schemas"]["Prediction"]["properties"]
    assert row["answer"]["enum"] == ["no", "yes"]
    assert list(row["probabilities"]["properties"]) == ["no", "yes"]
    assert document(pictures(), False)["components"]["schemas"]["Prediction"]["properties"]["above"][
        "enum"
    ] == [0, 1]
    regression = document(sums(), False)["components"]["schemas"]["Prediction"]["properties"]
    assert regression["sum"]["type"] == "number"
    assert "probabilities" not in regression


def test_a_required_event_time_is_required_by_the_document() -> None:
    """The schema of the request says so."""
    for required in (False, True):
        for operations in list(document(people(), required)["paths"].values())[:2]:
            schema = operations["post"]["requestBody"]["content"]["application/json"]["schema"]
            assert ("event_time" in schema["required"]) is required


def test_the_document_describes_every_route() -> None:
    """What the application answers and what the document names are the same paths and methods."""
    app, _ = serving(people())
    served = set()
    inner = getattr(app, "_app", app)
    for route in inner.router.routes:
        methods = getattr(route, "methods", None)
        if methods and not route.path.startswith(("/docs", "/redoc", "/openapi")):
            served |= {(method, route.path) for method in methods - {"HEAD"}}
    said = {
        (method.upper(), path)
        for path, operations in document(people(), False)["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert said == served - {("GET", "/v2/")}


def test_without_a_model_the_document_says_so() -> None:
    """Only the routes that need no model are there."""
    said = document(None, False)
    assert "No model is loaded yet" in said["info"]["description"]
    assert list(said["paths"]) == ["/api/v1.0/model", "/health/live", "/health/ready", "/metrics"]
