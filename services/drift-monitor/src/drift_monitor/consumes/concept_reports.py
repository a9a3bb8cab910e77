"""Start-up restore, no live loop: ``concept-reports``, our own, read whole once: what is decided already."""

from __future__ import annotations

import contextlib

from contracts.codec import Unreadable, decode
from contracts.events import ConceptTested
from servicekit.config import Settings
from servicekit.topic_log import read_whole

TOPIC = "concept-reports"


async def read_concepts(settings: Settings) -> list[ConceptTested]:
    """All reports, in the order they were published."""
    reports = []
    async for batch in read_whole(settings, TOPIC):
        for record in batch:
            with contextlib.suppress(Unreadable):  # not written by us, and so not decided by us
                reports.append(decode(ConceptTested, record.value, record.headers))
    return reports
