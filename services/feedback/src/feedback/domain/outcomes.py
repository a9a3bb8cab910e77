"""Outcomes from joined rows: columnar, one event a model version, each below Kafka's limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.codec import derived_id
from contracts.events import OutcomesJoined

from feedback.domain.join import Joined
from feedback.domain.size import MAX_BYTES, width

Names = tuple[str, ...]


def new_outcomes(joined: Iterable[Joined], published: Mapping[str, int]) -> list[Joined]:
    """The rows that are not yet on the topic; ``published`` maps an id to its revision there."""
    return [j for j in joined if not published or j.after.revision > published.get(j.prediction_id, -1)]


def compose(joined: Iterable[Joined]) -> list[OutcomesJoined]:
    """The events, ordered by model and version, then as the labels came."""
    groups: dict[tuple[str, str, Names, Names, Names], list[Joined]] = {}
    for j in joined:
        made = j.made
        names = tuple(made.features), tuple(made.probabilities or ()), tuple(made.vectors or ())
        groups.setdefault((made.model, made.version, *names), []).append(j)
    return [
        _event(*key, part)
        for key, rows in sorted(groups.items(), key=lambda item: item[0])
        for part in _parts(rows)
    ]


def outcome_id(event: OutcomesJoined) -> str:
    """The ``ce_id``: of the first row and its revision, which no other outcome carries."""
    return derived_id("outcomes", event.prediction_id[0], event.revision[0])


def _parts(rows: list[Joined]) -> Iterable[list[Joined]]:
    """Rows of one version, features, classes and vectors, as many as fit a record."""
    made = rows[0].made
    names = sum(width(n) + 3 for n in (*made.features, *(made.probabilities or ()), *(made.vectors or ())))
    part: list[Joined] = []
    size = names
    for j in rows:
        made = j.made
        wide = 160 + sum(width(column[j.row]) for column in made.features.values())
        wide += sum(width(column[j.row]) for column in (made.vectors or {}).values())
        wide += 26 * len(made.probabilities or ()) + width(made.predictions[j.row])
        wide += width(j.after.truth) + (width(j.before.truth) if j.before else 5)
        if part and size + wide > MAX_BYTES:
            yield part
            part, size = [], names
        part.append(j)
        size += wide
    if part:
        yield part


def _event(
    model: str, version: str, features: Names, classes: Names, vectors: Names, rows: list[Joined]
) -> OutcomesJoined:
    return OutcomesJoined(
        model=model,
        version=version,
        prediction_id=[j.prediction_id for j in rows],
        event_time=[j.made.event_time[j.row] for j in rows],
        label_time=[j.after.label_time for j in rows],
        features={name: [j.made.features[name][j.row] for j in rows] for name in features},
        predictions=[j.made.predictions[j.row] for j in rows],
        probabilities={c: [(j.made.probabilities or {})[c][j.row] for j in rows] for c in classes} or None,
        truth=[j.after.truth for j in rows],
        corrected_from=[j.before.truth if j.before else None for j in rows],
        revision=[j.after.revision for j in rows],
        vectors={v: [(j.made.vectors or {})[v][j.row] for j in rows] for v in vectors} or None,
    )
