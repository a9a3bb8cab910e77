"""Start-up restore, no live loop: ``concept-reports``, our own, read whole once: what is decided already."""

from __future__ import annotations

from contracts.events import ConceptTested
from servicekit.config import Settings
from servicekit.topic_log import read_events

TOPIC = "concept-reports"


async def read_concepts(settings: Settings) -> list[ConceptTested]:
    """All reports, in the order they were published."""
    return await read_events(settings, TOPIC, ConceptTested)  # what is not written by us is not decided by us
