"""NVIDIA's ``tritonclient[http]``, a client that is not ours, against the predictor over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from contracts.codec import split_prediction_id
from predictor_models import Kafka, over_http, people, pictures, serving, sums
from tritonclient.utils import InferenceServerException

COLUMNS: dict[str, Any] = {
    "age": np.array([[10], [90]], dtype=np.float32),
    "children": np.array([[0], [3]], dtype=np.int64),
    "income": np.array([[np.nan], [1.5]], dtype=np.float32),
    "member": np.array([[True], [False]]),
    "town": np.array([["Évora"], ["B"]], dtype=np.object_),
}
DATATYPES = {"age": "FP32", "children": "INT64", "income": "FP32", "member": "BOOL", "town": "BYTES"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Kafka]]:
    """The predictor of people, for all tests here: its end takes a second."""
    kafka = Kafka()
    with over_http(serving(people(), kafka)[0]) as found:
        yield found, kafka


@pytest.fixture
def address(served: tuple[str, Kafka]) -> str:
    """Where it listens."""
    return served[0]


@pytest.fixture
def kafka(served: tuple[str, Kafka]) -> Kafka:
    """What it publishes in this test."""
    served[1].published.clear()
    return served[1]


def inputs(binary: bool, make: Any = triton) -> list[Any]:
    """The columns as the client's inputs."""
    found = []
    for name, values in COLUMNS.items():
        tensor = make.InferInput(name, values.shape, DATATYPES[name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        found.append(tensor)
    return found


def one(name: str, values: Any, datatype: str = "FP32") -> list[Any]:
    """A single input."""
    tensor = triton.InferInput(name, values.shape, datatype)
    tensor.set_data_from_numpy(values)
    return [tensor]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("got", [True, False])
@pytest.mark.parametrize("version", ["", "1"])
def test_it_infers(address: str, kafka: Kafka, sent: bool, got: bool, version: str) -> None:
    """Texts, numbers, booleans and missing values go there, class, probabilities and ids come back, bytes or JSON."""
    names = ("answer", "probabilities", "prediction_id")
    wanted = [triton.InferRequestedOutput(name, binary_data=got) for name in names]
    with triton.InferenceServerClient(address) as client:
        result = client.infer("m", inputs(sent), version, outputs=wanted, request_id="r-1")
    assert result.get_response()["id"] == "r-1"
    (event,) = kafka.published
    texts = [value if isinstance(value, str) else value.decode() for value in result.as_numpy("answer")]
    assert texts == ["no", "yes"] == event.predictions
    probabilities = result.as_numpy("probabilities")
    assert probabilities.dtype == np.float32
    assert probabilities[:, 1] == pytest.approx(1 / (1 + np.exp(-(np.array([1, 9]) - 4))), rel=1e-6)
    ids = [value if isinstance(value, str) else value.decode() for value in result.as_numpy("prediction_id")]
    assert [split_prediction_id(given) for given in ids] == [(event.batch_id, 0), (event.batch_id, 1)]
    assert event.features["town"] == ["Évora", "B"]
    assert event.features["income"] == [None, 1.5]
    assert event.features["member"] == [True, False]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate", None])
def test_a_replay_in_a_compressed_request(address: str, kafka: Kafka, algorithm: str | None) -> None:
    """The event time goes as a parameter, and without outputs named all come back as bytes."""
    with triton.InferenceServerClient(address) as client:
        result = client.infer(
            "m",
            inputs(True),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
            parameters={"event_time": 1_600_000_000_000},
        )
    assert result.as_numpy("answer").tolist() == [b"no", b"yes"]
    assert kafka.published[0].event_time == [1_600_000_000_000] * 2


def test_it_asks_who_serves_what(address: str) -> None:
    """Liveness, readiness and metadata."""
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("m")
        assert client.is_model_ready("m", "1")
        assert not client.is_model_ready("m", "2")
        assert not client.is_model_ready("other")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        metadata = client.get_model_metadata("m")
        assert {each["name"]: each["datatype"] for each in metadata["inputs"]} == DATATYPES
        with pytest.raises(InferenceServerException, match="Version 1 of m does"):
            client.get_model_metadata("m", "9")
        with pytest.raises(InferenceServerException, match="Not Found"):
            client.get_model_repository_index()


def test_it_is_told_what_was_wrong(address: str, kafka: Kafka) -> None:
    """The message of a refusal reaches the client's user."""
    bad = one("age", np.zeros((2, 3), dtype=np.float32)) + inputs(True)[1:]
    far = one("age", np.array([10, 200], dtype=np.float32)) + inputs(True)[1:]
    with triton.InferenceServerClient(address) as client:
        with pytest.raises(
            InferenceServerException, match=r"shape \[N\] or \[N, 1\], not \[2, 3\]"
        ) as caught:
            client.infer("m", bad)
        assert caught.value.status() == "422"
        with pytest.raises(InferenceServerException, match="age: must be at most 150 a"):
            client.infer("m", far)
    assert kafka.published == []


def test_a_matrix_and_an_image_go_in_whole() -> None:
    """One tensor for all features of a model of numbers, of several float and integer types; an image in its shape."""
    with over_http(serving(sums())[0]) as address, triton.InferenceServerClient(address) as client:
        for dtype, datatype in (
            (np.float32, "FP32"),
            (np.float64, "FP64"),
            (np.float16, "FP16"),
            (np.int8, "INT8"),
        ):
            result = client.infer("sums", one("x", np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype), datatype))
            assert result.as_numpy("sum").tolist() == [6.0, 15.0]
    with over_http(serving(pictures())[0]) as address, triton.InferenceServerClient(address) as client:
        images = np.array([[[1, 1, 1], [0, 0, 0]], [[-1, -1, -1], [0, 0, 0]]], dtype=np.float32)
        result = client.infer("pictures", one("image", images))
        assert result.as_numpy("above").tolist() == [1, 0]
        assert result.as_numpy("above").dtype == np.int64


async def test_its_asynchronous_client_infers_too(address: str) -> None:
    """The same over aiohttp."""
    async with triton_aio.InferenceServerClient(address) as client:
        result = await client.infer("m", inputs(True, triton_aio))
        assert result.as_numpy("answer").tolist() == [b"no", b"yes"]
