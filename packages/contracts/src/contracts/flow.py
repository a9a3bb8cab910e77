"""The topics as their YAML files state them: who writes, who reads, how long a record stays."""

from __future__ import annotations

from importlib import resources

import msgspec

from contracts import events
from contracts.events import Event


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic. ``readers`` are those outside of the platform; ``config`` is the topic's in Kafka's words.

    A partitioned topic has ``ATALAIA_PARTITIONS`` partitions (12), any other one.
    """

    name: str
    order: int
    event: str
    description: str
    key: str
    producers: list[str]
    consumers: list[str]
    readers: list[str]
    partitioned: bool
    config: dict[str, str]

    @property
    def dlq(self) -> str:
        """Where records go that cannot be read."""
        return f"{self.name}.dlq"

    @property
    def kind(self) -> type[Event]:
        """The type of its events."""
        kind: type[Event] = getattr(events, self.event)
        return kind


def load_topics() -> dict[str, Topic]:
    """All topics by name, in the order of the flow; raises ``ValueError`` naming a file that is wrong."""
    found = []
    for entry in resources.files("contracts").joinpath("topics").iterdir():
        if entry.name.endswith(".yaml"):
            try:
                topic = msgspec.yaml.decode(entry.read_bytes(), type=Topic)
            except msgspec.MsgspecError as error:
                raise ValueError(f"{entry.name}: {error}") from None
            if entry.name != f"{topic.name}.yaml":
                raise ValueError(f"{entry.name}: the topic in it is called {topic.name}")
            found.append(topic)
    return {topic.name: topic for topic in sorted(found, key=lambda topic: topic.order)}
