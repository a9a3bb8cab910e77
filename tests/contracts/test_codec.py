"""The wire format: CloudEvents headers, columns, ids and partitions."""

from typing import Any

import msgspec
import pytest
from contracts import codec
from contracts.events import GroundTruthReceived, ModelChanged, PredictionsMade

LABELS = GroundTruthReceived(upload_id="u", prediction_id=["0" * 32 + ".0"], truth=["yes"], label_time=[1])


def test_headers_are_a_cloudevent_in_binary_mode() -> None:
    """All required attributes are there, and the content type."""
    _, headers = codec.encode(LABELS, source="feedback")
    names = dict(headers)
    assert names["ce_specversion"] == b"1.0"
    assert names["ce_type"] == b"io.atalaia.ground-truth-received.v1"
    assert names["ce_source"] == b"/atalaia/feedback"
    assert names["content-type"] == b"application/json"
    assert {"ce_id", "ce_time"} <= set(names)


def test_an_event_comes_back_as_it_went() -> None:
    """Decoding what was encoded gives an equal event."""
    value, headers = codec.encode(LABELS, source="feedback")
    assert codec.decode(GroundTruthReceived, value, headers) == LABELS


def test_another_type_is_not_guessed_at() -> None:
    """A record whose ce_type names another event is unreadable, and the message says both."""
    value, headers = codec.encode(LABELS, source="feedback")
    with pytest.raises(codec.Unreadable, match=r"ground-truth-received.*model-changed"):
        codec.decode(ModelChanged, value, headers)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"upload_id": 3}'])
def test_rubbish_is_unreadable(value: bytes | None) -> None:
    """No value, broken JSON and wrong types all raise Unreadable."""
    with pytest.raises(codec.Unreadable):
        codec.decode(GroundTruthReceived, value)


def test_columns_of_unequal_length_are_unreadable() -> None:
    """A columnar event with a short column is refused."""
    short = msgspec.structs.replace(LABELS, label_time=[])
    with pytest.raises(codec.Unreadable, match="differ in length"):
        codec.decode(GroundTruthReceived, codec.encode(short, source="x")[0])


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ({"v": [[1, 2.5], None]}, ""),
        ({"v": [[1, 2]]}, "differ in length.*vectors.v"),
        ({"v": [[1, None], None]}, "Expected `float`, got `null`"),
        ({"v": [3, None]}, "Expected `array | null`"),
        ({"v": [[True], None]}, "Expected `float`, got `bool`"),
    ],
)
def test_vectors_are_columns_of_lists_of_numbers(vectors: Any, said: str) -> None:
    """A row each, or null where it has none; of what length is for the profile to say."""
    event = {
        "batch_id": "b",
        "model": "m",
        "version": "1",
        "event_time": [1, 2],
        "features": {},
        "predictions": [0, 0],
    }
    value = msgspec.json.encode({**event, "vectors": vectors})
    if said:
        with pytest.raises(codec.Unreadable, match=said):
            codec.decode(PredictionsMade, value)
    else:
        assert codec.decode(PredictionsMade, value).vectors == vectors


@pytest.mark.parametrize(
    ("text", "expected"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
     ("a-little-bit-longer-string", -1486304829),
     ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971), ("abc", 479470107)],
)  # fmt: skip
def test_murmur2_is_kafkas(text: str, expected: int) -> None:
    """The hash equals the vectors of Apache Kafka's own test of Utils.murmur2."""
    assert codec.murmur2(text.encode()) == expected & 0xFFFFFFFF


def test_partition_is_aiokafkas() -> None:
    """The default partitioner of aiokafka chooses the same partition."""
    from aiokafka.partitioner import DefaultPartitioner

    choose = DefaultPartitioner()
    for i in range(200):
        key = f"{i * 7919:032x}"
        assert codec.partition_of(key, 12) == choose(key.encode(), list(range(12)), list(range(12)))


def test_derived_ids_depend_on_their_parts_only() -> None:
    """The same parts give the same id; parts are not run together."""
    assert codec.derived_id("a", 1) == codec.derived_id("a", 1)
    assert codec.derived_id("a", "bc") != codec.derived_id("ab", "c")


@pytest.mark.parametrize(
    "text", ["", "abc", "0" * 32, "0" * 32 + ".", "0" * 32 + ".x", "g" * 32 + ".0", "0" * 32 + ".-1"]
)
def test_a_malformed_prediction_id_is_refused(text: str) -> None:
    """What is not a batch and a row raises ValueError."""
    with pytest.raises(ValueError, match="not a prediction_id"):
        codec.split_prediction_id(text)


def test_a_prediction_id_comes_apart_as_it_was_made() -> None:
    """Splitting gives the batch and the row."""
    assert codec.split_prediction_id(codec.prediction_id("ab" * 16, 12)) == ("ab" * 16, 12)


@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"[" * 100_000, None), (b'{"model": "\xff"}', None), (b"{}", [("ce_type", None)])],
)
def test_whatever_is_on_a_topic_is_at_worst_unreadable(value: bytes, headers: Any) -> None:
    """Lists in lists, text that is not UTF-8 and a header without a value end no consumer."""
    with pytest.raises(codec.Unreadable):
        codec.decode(ModelChanged, value, headers)
