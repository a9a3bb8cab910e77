"""The Open Inference Protocol under /v2, message by message."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
from contracts.codec import split_prediction_id
from predictor_models import NOW, PERSON, Kafka, people, pictures, serving, sums
from prometheus_client import REGISTRY
from servicekit.http import Health
from summaries.profile import FieldSpec

INFER = "/v2/models/m/infer"
DATATYPES = {"age": "FP32", "children": "INT64", "income": "FP32", "member": "BOOL", "town": "BYTES"}


def tensor(name: str, values: list[Any], datatype: str | None = None) -> dict[str, Any]:
    """One column as an input."""
    return {
        "name": name,
        "datatype": datatype or DATATYPES[name],
        "shape": [len(values), 1],
        "data": values,
    }


INPUTS = [tensor(name, [value, value]) for name, value in PERSON.items()]


class Client:
    """A client of one model, and what it made the predictor publish."""

    def __init__(self, model: Any, **settings: Any) -> None:
        self.kafka = Kafka()
        self.app, self.predictor = serving(model, self.kafka, **settings)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://x")

    async def get(self, path: str) -> httpx.Response:
        """GET."""
        return await self._http.get(path)

    async def post(self, content: Any, path: str = INFER, **headers: str) -> httpx.Response:
        """POST an object as JSON, bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self._http.post(path, content=body, headers=headers)


@pytest.fixture
def client() -> Client:
    """A fresh predictor of people."""
    return Client(people())


def by_name(answer: httpx.Response) -> dict[str, Any]:
    """The outputs of an answer."""
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json()["outputs"]}


async def refused(client: Client, content: Any, status: int = 422, **more: Any) -> str:
    """The error, which is a problem and the protocol's own at once; nothing was published."""
    answer = await client.post(content, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["error"] == body["detail"]
    assert body["status"] == status
    assert client.kafka.published == []
    return str(body["error"])


async def test_rows_are_scored_published_and_answered(client: Client) -> None:
    """The outputs are the target, the probabilities and the ids by which truth is sent; the topic has the same rows."""
    answer = await client.post(
        {"id": "é1", "parameters": {"event_time": 1_600_000_000_000}, "inputs": INPUTS}
    )
    outputs = by_name(answer)
    (event,) = client.kafka.published
    assert (answer.json()["model_name"], answer.json()["model_version"], answer.json()["id"]) == (
        "m",
        "1",
        "é1",
    )
    assert list(outputs) == ["answer", "probabilities", "prediction_id"]
    assert outputs["answer"] == {"name": "answer", "datatype": "BYTES", "shape": [2], "data": ["yes", "yes"]}
    assert outputs["probabilities"]["shape"] == [2, 2]
    assert outputs["probabilities"]["datatype"] == "FP32"
    assert outputs["probabilities"]["data"][1] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)
    assert json.loads(outputs["probabilities"]["parameters"]["classes"]) == ["no", "yes"]
    ids = [split_prediction_id(given) for given in outputs["prediction_id"]["data"]]
    assert ids == [(event.batch_id, 0), (event.batch_id, 1)]
    assert event.features == {name: [value, value] for name, value in PERSON.items()}
    assert event.event_time == [1_600_000_000_000] * 2


async def test_it_is_the_same_prediction_as_any_other(client: Client) -> None:
    """/predict/batch and /infer answer the same for the same rows."""
    rows = [PERSON | {"age": float(age)} for age in (10, 90)]
    batch = (await client.post({"rows": rows}, "/api/v1.0/predict/batch")).json()["predictions"]
    columns = [tensor(name, [row[name] for row in rows]) for name in PERSON]
    outputs = by_name(await client.post({"inputs": columns}))
    assert outputs["answer"]["data"] == [row["answer"] for row in batch]
    flat = [value for row in batch for value in row["probabilities"].values()]
    assert outputs["probabilities"]["data"] == flat
    first, second = client.kafka.published
    assert (first.features, first.predictions) == (second.features, second.predictions)


async def test_missing_values_are_null_nan_or_no_tensor_at_all(client: Client) -> None:
    """An optional feature may be left out, null, or NaN, which numpy's users write into JSON too."""
    for income in ([], [tensor("income", [None])], [tensor("income", [float("nan")])]):
        inputs = [tensor(n, [v]) for n, v in PERSON.items() if n != "income"] + income
        assert (await client.post({"inputs": inputs})).status_code == 200
    assert [event.features["income"] for event in client.kafka.published] == [[None]] * 3
    client.kafka.published.clear()
    inputs = [tensor(n, [None if n == "age" else v]) for n, v in PERSON.items()]
    assert await refused(client, {"inputs": inputs}) == "age: must not be null"


async def test_a_refused_value_is_named_with_its_row(client: Client) -> None:
    """The check is that of every other transport."""
    inputs = [tensor(n, [v, -1 if n == "age" else v]) for n, v in PERSON.items()]
    answer = await client.post({"inputs": inputs})
    assert answer.json()["errors"] == [{"field": "age", "message": "must be at least 0 a", "row": 1}]
    await refused(client, {"inputs": inputs})
    later = {"event_time": int(NOW * 1000) + 400_000}
    assert "future" in await refused(client, {"inputs": INPUTS, "parameters": later})


async def test_a_required_event_time_is_asked_for() -> None:
    """A project that replays is not scored at the time of its requests."""
    client = Client(people(), required=True)
    assert "event_time: is required" in await refused(client, {"inputs": INPUTS})
    times = {"event_time": ["2020-01-01T00:00:00+01:00", 10**12]}
    assert (await client.post({"inputs": INPUTS, "parameters": times})).status_code == 200
    assert client.kafka.published[0].event_time == [1_577_833_200_000, 10**12]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": []}, "inputs: must be an array"),
        ({"inputs": INPUTS[:1]}, "children: is missing"),
        ({"inputs": [*INPUTS, tensor("age", [1.0])]}, "age: is given twice"),
        ({"inputs": [*INPUTS, tensor("x", [1.0, 2.0], "FP32")]}, "x: is not an input"),
        ({"inputs": [*INPUTS, *INPUTS]}, "inputs: holds 10 tensors, and the model has 5 features"),
        ({"inputs": [INPUTS[0] | {"shape": [10**18] * 300}, *INPUTS[1:]]}, "age: must have a shape: an array of at most 8"),
        ({"inputs": [tensor(name, []) for name in PERSON]}, "at least one row"),
        ({"inputs": [tensor("all", [1.0], "FP32")]}, "age: is missing"),
        ({"id": 3}, "id: must be a string"),
        ({"parameters": 3}, "parameters: must be an object"),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output: must be true or false"),
        ({"outputs": 3}, "outputs: must be an array"),
        ({"outputs": [{}]}, "outputs[0]: must be an object with a name"),
        ({"outputs": [{"name": "x"}]}, "there is no output 'x', but answer, probabilities, prediction_id"),
        ({"outputs": [{"name": "answer"}, {"name": "answer"}]}, "outputs[1]: must be an object with a name"),
        ({"outputs": [{"name": "answer", "parameters": {"classification": 1}}]}, "classification is not"),
        ({"outputs": [{"name": "answer", "parameters": 1}]}, "parameters: must be an object"),
    ],
)  # fmt: skip
async def test_a_malformed_request_is_refused(client: Client, change: dict[str, Any], said: str) -> None:
    """It says what the request should have been, and scores nothing."""
    assert said in await refused(client, {"inputs": INPUTS} | change)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"x": NaN'])
async def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    """Whatever the bytes are."""
    assert "body:" in await refused(client, body)


async def test_half_a_surrogate_pair_is_refused_wherever_it_stands(client: Client) -> None:
    """Python's json reads it beside a NaN; neither an id nor a name nor a value may be one, as nothing can be written with it."""
    for change, said in (
        ({"id": "\ud800"}, "id: must be a string"),
        (
            {"inputs": [*INPUTS, tensor("\ud800", [1.0, 2.0], "FP32")]},
            "\\ud800: is not an input of this model",
        ),
        ({"inputs": [*INPUTS[:-1], tensor("town", ["\ud800", "A"])]}, "town: must be text"),
        ({"outputs": [{"name": "\ud800"}]}, "there is no output '\\ud800'"),
    ):
        assert said in await refused(client, {"inputs": INPUTS, "x": math.nan} | change)


async def test_a_value_is_told_however_deep_it_goes(client: Client) -> None:
    """A value that JSON can nest and Python cannot print is one that is no number."""
    inputs = json.dumps({"inputs": [tensor("age", ["deep"])]})
    nested = b'{"x":' * 1000 + b"1" + b"}" * 1000
    said = await refused(client, inputs.encode().replace(b'"deep"', nested))
    assert "age: has a value that is no FP32: {'x': {'x':" in said


async def test_outputs_come_in_the_order_asked_for(client: Client) -> None:
    """Only those that are wanted, each as bytes or as JSON."""
    asked = [
        {"name": "prediction_id", "parameters": {"binary_data": False}},
        {"name": "probabilities"},
        {"name": "answer"},
    ]
    content = {"inputs": INPUTS, "outputs": asked[:2], "parameters": {"binary_data_output": True}}
    answer = await client.post(content)
    head = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    ids, probabilities = json.loads(answer.content[:head])["outputs"]
    assert len(ids["data"]) == 2
    assert probabilities["parameters"]["binary_data_size"] == 16 == len(answer.content) - head
    assert np.frombuffer(answer.content[head:], "<f4")[1] == pytest.approx(1 / (1 + np.exp(-1)))
    assert list(by_name(await client.post({"inputs": INPUTS, "outputs": asked[::-1]}))) == [
        "answer", "probabilities", "prediction_id"
    ]  # fmt: skip


@pytest.mark.parametrize("length", ["-1", "x", "0", "1000000", "²"])
async def test_a_wrong_header_length_is_refused(client: Client, length: str) -> None:
    """The header has to be the length of the JSON that the body begins with."""
    headers = {"Inference-Header-Content-Length": length.encode()}
    answer = await client._http.post(INFER, content=json.dumps({"inputs": INPUTS}), headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Inference-Header-Content-Length"


async def test_a_single_matrix_of_numbers_is_taken_whole() -> None:
    """A model of numbers takes one tensor [N, F] of any name, and answers FP64 where it gives floats."""
    client = Client(sums())
    given = {"name": "input-0", "datatype": "FP64", "shape": [2, 3], "data": [[1, 2, 3], [4, 5, 6]]}
    outputs = by_name(await client.post({"inputs": [given]}, "/v2/models/sums/infer"))
    assert outputs["sum"] == {"name": "sum", "datatype": "FP64", "shape": [2], "data": [6.0, 15.0]}
    assert "probabilities" not in outputs
    given["shape"] = [3, 2]
    assert "in the shape [N, 3]" in (
        await client.post({"inputs": [given | {"data": [1] * 6}]}, "/v2/models/sums/infer")
    ).json()["error"]  # fmt: skip


async def test_whole_numbers_may_come_as_floats(client: Client) -> None:
    """As a matrix of floats has them beside others; a fraction is no integer."""
    inputs = [tensor(n, [v], "FP64" if n == "children" else None) for n, v in PERSON.items()]
    assert (await client.post({"inputs": inputs})).status_code == 200
    assert client.kafka.published.pop().features["children"] == [1]
    inputs[1]["data"] = [1.5]
    assert "children: must be an integer" in await refused(client, {"inputs": inputs})


async def test_an_image_is_taken_in_its_shape() -> None:
    """A vector comes as its declared shape or flat; integers are labels of INT64."""
    client = Client(pictures())
    for shape in ([1, 2, 3], [1, 6]):
        given = {"name": "image", "datatype": "FP32", "shape": shape, "data": [0.5] * 6}
        answer = await client.post({"inputs": [given]}, "/v2/models/pictures/versions/3/infer")
        assert by_name(answer)["above"] == {"name": "above", "datatype": "INT64", "shape": [1], "data": [1]}
    assert client.kafka.published[0].vectors == {"image": [[0.5] * 6]}


async def test_metadata_names_what_is_served(client: Client) -> None:
    """Server and model as the specification words them, with and without the version."""
    server = (await client.get("/v2")).json()
    assert server["extensions"] == ["binary_tensor_data", "parameters"]
    assert server == (await client.get("/v2/")).json()
    model = (await client.get("/v2/models/m")).json()
    assert model == (await client.get("/v2/models/m/versions/1")).json()
    assert (model["name"], model["versions"], model["platform"]) == ("m", ["1"], "onnx_onnxv1")
    assert model["inputs"] == [
        {"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in DATATYPES.items()
    ]
    assert model["outputs"] == [
        {"name": "answer", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
    ]
    image = (await Client(pictures()).get("/v2/models/pictures")).json()
    assert image["inputs"][0]["shape"] == [-1, 2, 3]
    assert [output["datatype"] for output in image["outputs"]] == ["INT64", "BYTES"]


async def test_live_and_ready() -> None:
    """Live always, ready once each dependency is there; a model is ready once it serves."""
    client = Client(None)
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    for path in ("/v2/health/ready", "/v2/models/m/ready", "/v2/models/m"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["error"]
    assert "no model is loaded" in await refused(client, {"inputs": INPUTS}, 503)
    client.predictor.swap(people())
    assert (await client.get("/v2/health/ready")).status_code == 200
    for path in ("/v2/models/m/ready", "/v2/models/m/versions/1/ready"):
        assert (await client.get(path)).json() == {"name": "m", "ready": True}
    without = Client(people(), broker=lambda: False)
    assert "broker" in (await without.get("/v2/health/ready")).json()["error"]


async def test_a_service_that_is_about_to_end_is_not_ready() -> None:
    """Whoever asks before the next request goes elsewhere; what comes all the same is answered."""
    health = Health()
    client = Client(people(), health=health)
    assert (await client.get("/v2/models/m/ready")).status_code == 200
    health.draining = True
    for path in ("/v2/health/ready", "/v2/models/m/ready", "/v2/models/m/versions/1/ready"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"] == "the service is about to end"
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.post({"inputs": INPUTS})).status_code == 200


async def test_another_model_or_version_is_404_saying_which_serves(client: Client) -> None:
    """Also the one that served before."""
    client.predictor.swap(people("2"))
    for path in ("/v2/models/m/versions/1", "/v2/models/m/versions/1/ready", "/v2/models/other"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "Version 2 of m does." in answer.json()["error"]
    for path in ("/v2/models/m/versions/1/infer", "/v2/models/other/versions/2/infer"):
        assert "Version 2 of m does." in await refused(client, {"inputs": INPUTS}, 404, path=path)


async def test_what_no_route_answers_has_the_protocols_error_too(client: Client) -> None:
    """A client that asks for another extension, or with another method, gets a message that it can read."""
    unknown = await client.get("/v2/repository/index")
    assert (unknown.status_code, unknown.json()["status"]) == (404, 404)
    assert unknown.json()["error"]
    method = await client.get(INFER)
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
    assert method.json()["error"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        (" GZIP ", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
    ],
)
async def test_a_compressed_body_is_inflated(client: Client, encoding: str, packed: Any) -> None:
    """As the clients of Triton send it."""
    body = packed(json.dumps({"inputs": INPUTS}).encode())
    assert (await client.post(body, **{"Content-Encoding": encoding})).status_code == 200


@pytest.mark.parametrize(("members", "status"), [(16, 200), (17, 422)])
async def test_a_gzip_body_has_a_few_members(client: Client, members: int, status: int) -> None:
    """Thousands of them, each empty, would hold up everybody else for minutes: they are refused unread."""
    body = gzip.compress(b"") * (members - 1) + gzip.compress(json.dumps({"inputs": INPUTS}).encode())
    answer = await client.post(body, **{"Content-Encoding": "gzip"})
    assert answer.status_code == status, answer.text
    assert status == 200 or "body: is compressed in more than 16 members" in answer.json()["error"]


async def test_a_body_over_the_limit_is_413_however_it_comes() -> None:
    """Plain, in parts without a length, or small and swelling: refused before it is held or scored."""
    client = Client(people(), limit=10_000)
    large = b" " * 10_001
    assert "10000 bytes" in await refused(client, large, 413)
    assert "10000 bytes" in await refused(
        client, gzip.compress(b" " * 50_000_000), 413, **{"Content-Encoding": "gzip"}
    )
    bombs = b"".join(gzip.compress(b" " * 4_000) for _ in range(3))
    await refused(client, bombs, 413, **{"Content-Encoding": "gzip"})

    async def parts() -> Any:
        for _ in range(3):
            yield b" " * 4_000

    assert (await client._http.post(INFER, content=parts())).status_code == 413


async def test_an_encoding_that_is_not_known_is_415(client: Client) -> None:
    """It says which are; and what is not as its encoding says is refused."""
    answer = await client.post(b"x", **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    assert "gzip" in answer.json()["error"]
    body = gzip.compress(json.dumps({"inputs": INPUTS}).encode())
    assert "ends too early" in await refused(client, body[:-3], **{"Content-Encoding": "gzip"})
    assert "not what Content-Encoding says" in await refused(client, b"{}", **{"Content-Encoding": "gzip"})


async def test_without_kafka_nothing_is_promised(client: Client) -> None:
    """A prediction that Kafka did not acknowledge is a 503 with Retry-After."""
    client.kafka.broken = True
    assert "no prediction was promised" in await refused(client, {"inputs": INPUTS}, 503)


async def test_names_with_odd_characters_go_through() -> None:
    """A feature is called what its project calls it."""
    odd = [FieldSpec('a "b"/{c} é', "float32"), FieldSpec("\\", "string")]
    client = Client(people(fields=odd))
    inputs = [tensor(odd[0].name, [1.0], "FP32"), tensor(odd[1].name, ["x"], "BYTES")]
    assert by_name(await client.post({"inputs": inputs}))["answer"]["data"] == ["no"]


async def test_requests_are_counted_by_route_and_status(client: Client) -> None:
    """One label for the route, whatever model, version or nonsense stands in the path; a refusal by its cause too."""

    def count(status: str) -> float:
        route = {"route": "/v2/models/{name}/infer"}
        if status.isdigit():
            return REGISTRY.get_sample_value("atalaia_requests_total", route | {"status": status}) or 0.0
        return REGISTRY.get_sample_value("atalaia_requests_refused_total", route | {"cause": status}) or 0.0

    expected = {"200": 2, "422": 1, "404": 1, "invalid": 1, "not_served": 1}
    before = {status: count(status) for status in expected}
    await client.post({"inputs": INPUTS})
    await client.post({"inputs": INPUTS}, "/v2/models/m/versions/1/infer")
    await client.post({})
    await client.post({"inputs": INPUTS}, "/v2/models/m/versions/x/infer")
    assert {status: count(status) - before[status] for status in before} == expected
