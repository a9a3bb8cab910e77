"""CloudEvents 1.0 in Kafka's binary mode (CloudEvents Kafka binding 1.0.2): attributes are headers.

``encode`` gives the value and headers of a record, ``decode`` the typed event of one.
"""

from __future__ import annotations

import contextlib
import struct
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

import msgspec

from contracts.events import Event

E = TypeVar("E", bound=Event)
Headers = list[tuple[str, bytes]]
_NAMESPACE = uuid.UUID("6f0b6c0e-2f6a-5d0e-9a59-1d8f3d6f7a10")
_SOURCE = b"/atalaia/"
_encoder = msgspec.json.Encoder()
_word = struct.Struct("<I")
_decoders: dict[type[Event], msgspec.json.Decoder[Event]] = {}


class Unreadable(ValueError):
    """A record that is not the event its topic promises; the message says why."""


@cache
def event_type(kind: type[Event]) -> str:
    """The ``ce_type`` of a type of event: ``io.atalaia.`` and the class's name in kebab-case, version 1."""
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")
    return f"io.atalaia.{name}.v1"


def derived_id(*parts: object) -> str:
    """A ``ce_id`` that depends on nothing but ``parts``: a replay publishes the same id again."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, parts))))


def encode(event: Event, *, source: str, ce_id: str | None = None) -> tuple[bytes, Headers]:
    """The value and the headers of a Kafka record. ``source`` is the service's name."""
    return _encoder.encode(event), attributes(type(event), source=source, ce_id=ce_id)


def attributes(kind: type[Event], *, source: str, ce_id: str | None = None) -> Headers:
    """The headers alone, for who writes the value by other means."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", (ce_id or str(uuid.uuid4())).encode()),
        ("ce_type", event_type(kind).encode()),
        ("ce_source", _SOURCE + source.encode()),
        ("ce_time", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    ]


def decode(kind: type[E], value: bytes | None, headers: Iterable[tuple[str, bytes]] | None = None) -> E:
    """The event in a record's value; raises :class:`Unreadable`.

    The ``ce_type`` header, where present, must be the type's own: another version is not guessed at.
    """
    if value is None:
        raise Unreadable("the record has no value")
    check_type(kind, headers)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        event = decoder.decode(value)
    except (ValueError, RecursionError) as error:  # msgspec's own, text that is not UTF-8, lists in lists
        raise Unreadable(str(error) or type(error).__name__) from None
    check_columns(event)
    return event  # type: ignore[return-value]


def published_at(headers: Iterable[tuple[str, bytes]] | None) -> int | None:
    """When a record was published, by the header ``ce_time``, in milliseconds since 1970; None where that does not say.

    >>> published_at([("ce_time", b"1970-01-01T00:00:01.500Z")])
    1500
    """
    for name, content in headers or ():
        if name == "ce_time":
            with contextlib.suppress(ValueError, AttributeError, OverflowError):
                at = datetime.fromisoformat(content.decode())
                return round(at.timestamp() * 1000) if at.tzinfo is not None else None
    return None


def published_by(headers: Iterable[tuple[str, bytes]] | None) -> str | None:
    """Which service published a record, by the header ``ce_source``; None where that does not say.

    >>> published_by([("ce_source", b"/atalaia/trainer")])
    'trainer'
    """
    for name, content in headers or ():
        if name == "ce_source" and (content or b"").startswith(_SOURCE):  # a header may be empty
            return content.removeprefix(_SOURCE).decode(errors="replace")
    return None


def check_type(kind: type[Event], headers: Iterable[tuple[str, bytes]] | None) -> None:
    """Refuse a record whose ``ce_type`` header is another type's; raises :class:`Unreadable`."""
    for name, content in headers or ():
        if name == "ce_type" and content != event_type(kind).encode():
            named = content.decode(errors="replace") if content is not None else "empty"
            raise Unreadable(f"ce_type is {named}, not {event_type(kind)}")


_COLUMNS: dict[str, Sequence[str]] = {
    "PredictionsMade": ("event_time", "predictions"),
    "GroundTruthReceived": ("prediction_id", "truth", "label_time"),
    "OutcomesJoined": (
        "prediction_id",
        "event_time",
        "label_time",
        "predictions",
        "truth",
        "corrected_from",
        "revision",
    ),
}


def check_columns(event: Event) -> None:
    """Refuse a columnar event whose columns differ in length; raises :class:`Unreadable`."""
    names = _COLUMNS.get(type(event).__name__)
    if not names:
        return
    lengths = {name: len(getattr(event, name)) for name in names}
    for group in ("features", "vectors", "probabilities"):
        for name, column in (getattr(event, group, None) or {}).items():
            lengths[f"{group}.{name}"] = len(column)
    if len(set(lengths.values())) > 1:
        raise Unreadable(f"columns differ in length: {lengths}")


def prediction_id(batch_id: str, row: int) -> str:
    """The opaque id of a row."""
    return f"{batch_id}.{row}"


def split_prediction_id(text: str) -> tuple[str, int]:
    """The batch and row of an id; raises ``ValueError`` where it is not one of ours."""
    batch, dot, row = text.rpartition(".")
    if len(batch) != 32 or not dot or not row.isascii() or not row.isdigit() or len(row) > 6:
        raise ValueError(f"{text[:80]!r} is not a prediction_id")
    if any(c not in "0123456789abcdef" for c in batch):
        raise ValueError(f"{text[:80]!r} is not a prediction_id")
    return batch, int(row)


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (seed 0x9747b28c), as ``org.apache.kafka.common.utils.Utils``."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for (k,) in _word.iter_unpack(data[:whole]):
        k = k * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(batch_id: str, partitions: int) -> int:
    """The partition of a batch, as the default partitioner of aiokafka and Java chooses it."""
    return (murmur2(batch_id.encode()) & 0x7FFFFFFF) % partitions
