"""Outcomes from joined rows: columnar, one event a model version, each below Kafka's limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.codec import derived_id
from contracts.events import OutcomesJoined

from feedback.domain.join import Joined

MAX_BYTES = 700_000  # of features and labels as estimated; a record stays below 900 KB


def new_outcomes(joined: Iterable[Joined], published: Mapping[str, int]) -> list[Joined]:
    """The rows that are outcomes and are not yet on the topic; ``published`` maps an id to its revision."""
    rows = [j for j in joined if j.revision is not None]
    if not published:
        return rows
    return [j for j in rows if (j.revision or 0) > published.get(j.prediction_id, -1)]


def compose(joined: Iterable[Joined]) -> list[OutcomesJoined]:
    """The events, ordered by model and version, then as the labels came."""
    groups: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Joined]] = {}
    for j in joined:
        made = j.made
        key = (made.model, made.version, tuple(made.features), tuple(made.probabilities or ()))
        groups.setdefault(key, []).append(j)
    events = []
    for (model, version, features, classes), rows in sorted(groups.items(), key=lambda item: item[0]):
        for part in _parts(rows):
            events.append(_event(model, version, features, classes, part))
    return events


def outcome_id(event: OutcomesJoined) -> str:
    """The ``ce_id``: of the first row and its revision, which no other outcome carries."""
    return derived_id("outcomes", event.prediction_id[0], event.revision[0])


def _parts(rows: list[Joined]) -> Iterable[list[Joined]]:
    part: list[Joined] = []
    size = 0
    for j in rows:
        made = j.made
        width = 160 + sum(_width(column[j.row]) for column in made.features.values())
        width += 22 * len(made.probabilities or ())
        if part and size + width > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(j)
        size += width
    if part:
        yield part


def _width(value: object) -> int:
    return 6 * len(value) + 3 if isinstance(value, str) else 22


def _event(
    model: str, version: str, features: tuple[str, ...], classes: tuple[str, ...], rows: list[Joined]
) -> OutcomesJoined:
    return OutcomesJoined(
        model=model,
        version=version,
        prediction_id=[j.prediction_id for j in rows],
        event_time=[j.made.event_time[j.row] for j in rows],
        label_time=[j.after[-1].label_time for j in rows],
        features={name: [j.made.features[name][j.row] for j in rows] for name in features},
        predictions=[j.made.predictions[j.row] for j in rows],
        probabilities={c: [(j.made.probabilities or {})[c][j.row] for j in rows] for c in classes} or None,
        truth=[j.after[-1].truth for j in rows],
        corrected_from=[j.before[-1].truth if j.before else None for j in rows],
        revision=[j.revision or 0 for j in rows],
    )
