"""Outcomes from joined rows: columnar, one event a shape, each below Kafka's limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.codec import derived_id
from contracts.events import OutcomesJoined

from feedback.domain.rows import Joined


def new_outcomes(joined: Iterable[Joined], published: Mapping[str, int]) -> list[Joined]:
    """The rows that are not yet on the topic; ``published`` maps an id to its revision there."""
    return [j for j in joined if not published or j.after.revision > published.get(j.prediction_id, -1)]


def compose(joined: Iterable[Joined]) -> list[OutcomesJoined]:
    """The events, ordered by shape, then as the labels came."""
    raise NotImplementedError


def outcome_id(event: OutcomesJoined) -> str:
    """The ``ce_id``: of the first row and its revision, which no other outcome carries."""
    return derived_id("outcomes", event.prediction_id[0], event.revision[0])
