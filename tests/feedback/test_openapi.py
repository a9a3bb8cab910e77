"""The OpenAPI document and what is really served: schemathesis holds one against the other and finds nothing."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from pathlib import Path
from typing import Any

import httpx
import schemathesis
import schemathesis_findings
from contracts.codec import decode
from contracts.events import GroundTruthReceived
from feedback.consumes.http import make_app
from feedback.domain.ids import is_prediction_id
from feedback.domain.uploads import FUTURE_MS, Labels
from feedback.openapi import document
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from servicekit.http import Health

BATCH = "/api/v1.0/feedback/batch"
LATE = 2**53 - 1 - FUTURE_MS  # every time that the document allows may be
SETTINGS: dict[str, Any] = {
    # A flush without a body is fine, and still passes for a test of what is not.
    "operations": [
        {"include-path-regex": "/flush$", "checks": {"negative_data_rejection": {"enabled": False}}}
    ],
}
# A schema says of a text no more than that it is one: see the test of lines.
TEXTS = ("application/x-ndjson", "text/csv", "multipart/form-data")


class Join:
    """Knows all ids and decides whatever it is asked."""

    async def state(self, prediction_id: str) -> dict[str, Any]:
        return {"state": "joined", "truth": 5, "label_time": 5, "revision": 0}

    async def status(self) -> dict[str, Any]:
        return {"decided_through": None, "joined": 0}

    async def flush(self, until: int | None, seconds: float) -> int | None:
        return until


async def send(labels: Labels, upload_id: str, block: int = 0) -> None:
    """Kafka has it."""
    assert len(labels.prediction_id) == len(labels.truth) == len(labels.label_time) > 0


def app() -> Any:
    """The application."""
    return make_app(Join(), send, Health(kafka=lambda: True), max_body_bytes=10_000_000, now=lambda: LATE)


def fit(body: Any) -> Any:
    """Columns of equal length, which no schema can say."""
    if not isinstance(body, dict) or not isinstance(body.get("prediction_id"), list) or "truth" not in body:
        return body
    ids, truths, times = body["prediction_id"], body["truth"], body.get("label_time")
    if not ids or not isinstance(truths, list) or not truths:
        return body
    n = max(len(column) for column in (ids, truths, times) if isinstance(column, list))
    found = body | {"prediction_id": (ids * n)[:n], "truth": (truths * n)[:n]}
    return found | (
        {"label_time": (times * n)[:n] if times else [None] * n} if isinstance(times, list) else {}
    )


def without_texts() -> dict[str, Any]:
    """The document, as far as schemathesis can make requests of it."""
    said = copy.deepcopy(document())
    content = said["paths"][BATCH]["post"]["requestBody"]["content"]
    for kind in TEXTS:
        del content[kind]
    return said


def findings(examples: int = 25, said: dict[str, Any] | None = None) -> tuple[list[str], int]:
    """What schemathesis has against the application and its document, or another one."""
    served = app()
    served.openapi = lambda: said or without_texts()
    return schemathesis_findings.findings(served, SETTINGS, fit, examples)


def test_schemathesis_finds_nothing() -> None:
    """All checks, valid and invalid requests, on every route: what is served is what the document says."""
    found, requests = findings()
    assert found == []
    assert requests > 250


def test_schemathesis_would_find_a_document_that_is_wrong() -> None:
    """The test above can fail: a range that is not checked, and a status that is not told of, are found."""
    said = without_texts()
    said["components"]["schemas"]["PredictionId"]["pattern"] = r"^[0-9a-f]{32}\\.[0-9]{1,7}$"
    del said["paths"][BATCH]["post"]["responses"]["422"]
    text = "\n".join(findings(5, said)[0])
    assert "/api/v1.0/feedback/: Schema-valid request rejected" in text
    assert "/api/v1.0/feedback/batch: Undocumented" in text


ids = st.builds("{:032x}.{}".format, st.integers(0, 2**128 - 1), st.integers(0, 999_999))
words = st.text(st.characters(codec="utf-8", exclude_characters='\n"'), min_size=1, max_size=9).filter(
    str.strip
)
label = st.fixed_dictionaries(
    {"prediction_id": ids, "truth": words | st.booleans() | st.integers(-(2**63), 2**63 - 1)},
    optional={"label_time": st.none() | st.integers(0, LATE)},
)
ndjson = st.lists(label, min_size=1).map(lambda rows: "\n".join(map(json.dumps, rows)))
quoted = words.map(lambda word: f'"{word}"')
csv = st.lists(st.tuples(ids, quoted), min_size=1).map(
    lambda rows: "\r\n".join(["prediction_id;truth", *map(";".join, rows)])
)
uploads = st.tuples(st.just("application/x-ndjson"), ndjson) | st.tuples(st.just("text/csv"), csv)


SERVED = app()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", SERVED)


async def answered(sent: dict[str, Any]) -> httpx.Response:
    """What comes back for a batch."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(SERVED), base_url="http://x") as client:
        request = client.build_request("POST", BATCH, **sent)
        await request.aread()
        return await client.send(request)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(uploads, st.booleans(), st.booleans(), st.booleans(), st.text(max_size=20))
def test_lines_are_answered_as_documented(
    upload: tuple[str, str], strict: bool, progress: bool, as_form: bool, junk: str
) -> None:
    """What schemathesis cannot make of a schema: good lines are all accepted, with bad ones in between every answer is
    one of the document's."""
    kind, text = upload
    operation = SCHEMA[BATCH]["POST"]
    headers = {"accept": "application/x-ndjson" if progress else "*/*"}

    def post(content: str) -> httpx.Response:
        sent: dict[str, Any] = {
            "content": content.encode(errors="replace"),
            "headers": headers | {"content-type": kind},
        }
        if as_form:
            name = "labels.csv" if kind == "text/csv" else "labels.ndjson"
            sent = {"files": {"file": (name, content.encode(errors="replace"))}, "headers": headers}
        return asyncio.run(answered(sent | {"params": {"strict": str(strict).lower()}}))

    answer = post(text)
    last = json.loads(answer.text.splitlines()[-1])
    assert (answer.status_code, last.get("status", 202)) == (200 if progress else 202, 202)
    rows = text.count("\n") + (kind != "text/csv")
    assert (last["accepted"], last["rejected"]) == (rows, 0)
    for each in (answer, post(f"{text}\n{junk}\n{text}")):
        if progress and each.status_code == 200:
            validator = Draft202012Validator(
                {"$ref": "#/components/schemas/Progress", "components": SCHEMA.raw_schema["components"]}
            )
            for line in each.text.splitlines():
                validator.validate(json.loads(line))
        else:
            operation.validate_response(each)


async def test_the_documents_examples_can_be_sent() -> None:
    """Each example request of the document is answered as its example answer says."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app()), base_url="http://x")
    said = (await client.get("/openapi.json")).json()
    sent = 0
    for path, operations in said["paths"].items():
        contents = operations.get("post", {}).get("requestBody", {}).get("content", {})
        for kind, content in contents.items():
            examples = [content["example"]] if "example" in content else []
            for example in [*examples, *(each["value"] for each in content.get("examples", {}).values())]:
                body = example if isinstance(example, str) else json.dumps(example)
                answer = await client.post(path, content=body, headers={"content-type": kind})
                responses = operations["post"]["responses"]
                good = responses["202" if "202" in responses else "200"]["content"]["application/json"]
                assert answer.status_code in (200, 202), answer.text
                assert set(good["example"]) <= set(answer.json())
                sent += 1
    assert sent == 7


def test_the_document_describes_every_route() -> None:
    """What the application answers and what the document names are the same paths and methods."""
    served = {
        (method, route.path)
        for route in app().router.routes
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD" and not route.path.startswith(("/docs", "/redoc", "/openapi"))
    }
    said = {(method.upper(), path) for path, found in document()["paths"].items() for method in found}
    assert said == served


async def test_the_examples_of_the_page_on_feedback_can_be_sent() -> None:
    """What docs/feedback.md shows as JSON, NDJSON and CSV is accepted, and its record can be read from the topic."""
    page = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text(encoding="utf-8")
    kinds = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}
    sent, records = [], []
    for language, text in re.findall(r"```(json|ndjson|csv)\n(.*?)```", page, re.DOTALL):
        if "upload_id" in text:
            records.append(decode(GroundTruthReceived, text.encode()))
            continue
        answer = await answered({"content": text.encode(), "headers": {"content-type": kinds[language]}})
        assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
        sent.append(language)
    assert sent == ["json", "ndjson", "csv"]
    assert [is_prediction_id(record.prediction_id[0]) for record in records] == [True]
