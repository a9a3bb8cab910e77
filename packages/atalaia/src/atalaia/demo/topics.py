"""Reading every topic from its beginning, and holding every message against its published JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from contracts import events
from contracts.codec import Unreadable, decode
from contracts.flow import load_topics
from contracts.generate import SCHEMAS
from jsonschema_rs import Draft202012Validator
from servicekit.config import Settings
from servicekit.topic_log import read_whole

from atalaia.demo.story import Story

ATTRIBUTES = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type")


@dataclass
class Validation:
    """What came of validating one topic."""

    messages: int = 0
    invalid: list[str] = field(default_factory=list)


def published_schema(topic: str) -> dict[str, Any] | None:
    """The JSON Schema kept in the repository for a topic's messages."""
    path = SCHEMAS / f"{topic}.json"
    return dict(orjson.loads(path.read_bytes())) if path.is_file() else None


class Checker:
    """Validates messages of one topic, one at a time."""

    def __init__(self, topic: str, kind: type[events.Event], schema: dict[str, Any]) -> None:
        self.kind = kind
        self.seen = Validation()
        self._topic = topic
        self._validator = Draft202012Validator(schema)

    def update(self, value: bytes | None, headers: Any, where: str) -> events.Event | None:
        """The event, or None where it is not what its topic promises."""
        self.seen.messages += 1
        try:
            names = {name for name, _ in headers}
            missing = [a for a in ATTRIBUTES if a not in names]
            if missing:
                raise Unreadable(f"headers {', '.join(missing)} are missing")
            event = decode(self.kind, value, headers)
            content = orjson.loads(value or b"null")
            if not self._validator.is_valid(content):
                error = next(self._validator.iter_errors(content))
                at = "/".join(map(str, error.instance_path))
                raise Unreadable(f"/{at}: {error.message[:200]}")
        except Unreadable as error:
            if len(self.seen.invalid) < 20:
                self.seen.invalid.append(f"{self._topic} {where}: {error}")
            return None
        return event


async def read_all(
    settings: Settings, tick: Callable[[str, int], None] = lambda topic, n: None
) -> tuple[Story, dict[str, Validation]]:
    """The story of everything on the topics, and what validation said."""
    story, checked = Story(), {}
    ids: set[str] = set()

    def predictions(e: Any) -> None:
        story.prediction_rows += len(e.predictions)
        ids.add(e.batch_id)

    takes: dict[str, Callable[[Any], None]] = {
        "predictions": predictions,
        "outcomes": story.outcomes.update,
        "drift-reports": story.drift.append,
        "quality-reports": story.quality.append,
        "drift-alerts": story.alerts.append,
        "concept-reports": story.concepts.append,
        "training-runs": story.decisions.append,
        "model-events": story.models.append,
    }
    for topic, described in load_topics().items():
        schema = published_schema(topic)
        if schema is None:
            checked[topic] = Validation(invalid=[f"no schema of {topic} is published"])
            continue
        checker = Checker(topic, described.kind, schema)
        take = takes.get(topic, lambda e: None)

        async for batch in read_whole(settings, topic):
            for record in batch:
                if record.value is None and described.config.get("cleanup.policy") == "compact":
                    continue  # a tombstone of a compacted topic
                event = checker.update(record.value, record.headers, f"[{record.partition}] {record.offset}")
                if event is not None:
                    take(event)
                    story.written.setdefault(topic, []).append(record.timestamp)
            tick(topic, checker.seen.messages)
        checked[topic] = checker.seen
        dead = [record async for batch in read_whole(settings, described.dlq) for record in batch]
        if dead:
            why = [f"{k}={v[:200].decode(errors='replace')}" for k, v in dead[0].headers if "reason" in k]
            checker.seen.invalid.append(
                f"{len(dead)} records on {described.dlq}, the first: {'; '.join(why)}"
            )
    story.prediction_ids = len(ids)
    return story, checked
