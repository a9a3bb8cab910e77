"""Texts and vectors on ``predictions``: counted like any feature, accepted as a reference, refused with a reason."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from atalaia.drift.accept import added_up
from contracts.events import PaneCounted, PredictionsMade, ReferenceAccepted
from drift_monitor.domain.columns import Reader
from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.references import accepted_profile
from drift_monitor.domain.windows import Grid
from summaries.counts import unpack, unpack_sparse
from summaries.profile import FieldSpec, Profile

IDS = map(str, itertools.count())
SCHEMA = [FieldSpec("note", "text", optional=True), FieldSpec("image", "vector", shape=(2, 3), optional=True)]
WORDS = ["pump", "valve", "leaks", "hot [again]", "noise {}", "stopped"]


def columns(n: int, seed: int) -> dict[str, list[Any]]:
    """Notes and images; the first of each is missing."""
    generator = np.random.default_rng(seed)
    notes: list[Any] = [" ".join(generator.choice(WORDS, 5)) for _ in range(n)]
    images: list[Any] = generator.normal(size=(n, 6)).tolist()
    return {"note": [None, *notes[1:]], "image": [None, *images[1:]]}


def record(offset: int, given: dict[str, list[Any]], **changes: Any) -> Record:
    """As it comes from Kafka."""
    n = len(given["note"])
    event = {
        "batch_id": next(IDS), "model": "m", "version": "1", "event_time": list(range(n)),
        "features": {"note": given["note"]}, "vectors": {"image": given["image"]}, "predictions": [0] * n, **changes,
    }  # fmt: skip
    return Record(0, offset, Reader().read(json.dumps(event).encode()))


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Of 300 rows, watched by their features alone."""
    data = Profile.build(
        columns(300, 1), SCHEMA, [0.0] * 300, None, target="none", classes=None, task="regression"
    ).to_dict()
    return Profile.from_dict({**data, "outputs": []})


def absorb(profile: Profile, *records: Record) -> tuple[list[PaneCounted], list[tuple[Record, str]]]:
    """One chunk."""
    counter = Counter(Grid(0, 60_000, 60_000, 0))
    counter.take(0, 0, Position(), [])
    return counter.absorb(records, {("m", "1"): profile})


def test_rows_are_counted_over_the_codebook_and_its_parts(profile: Profile) -> None:
    """What is in the pane is what the profile says of the same columns."""
    given = columns(40, 2)
    (pane,), refused = absorb(profile, record(0, given))
    assert refused == []
    cells = profile.index_batch(given, [0] * 40)
    assert pane.counts.keys() == cells.keys() == profile.monitored().keys()
    for name, packed in pane.counts.items():
        at, counts = (part.tolist() for part in unpack_sparse(packed))
        counted = np.bincount(cells[name], minlength=profile.monitored()[name].size)
        assert at == np.flatnonzero(counted).tolist()
        assert counts == counted[at].tolist()


def test_records_with_and_without_them_are_counted_together(profile: Profile) -> None:
    """A column that is not there is missing in all rows of its record, and of no other."""
    given = columns(10, 3)
    bare = record(1, given, features={}, vectors=None)
    (pane,), refused = absorb(profile, record(0, given), bare, record(2, given))
    assert refused == []
    for name, known in profile.monitored().items():
        counts = unpack(pane.counts[name], known.size)
        assert counts[known.missing] == 12
        assert counts.sum() == 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vectors": {"image": [[1, 2, 3]] * 4}}, "image: a vector has 3 numbers, not 6"),
        ({"features": {"note": [1, 2, 3, 4]}}, "note: int is no text"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fields_name(
    profile: Profile, changes: dict[str, Any], said: str
) -> None:
    """The good record beside it is counted."""
    good, bad = record(0, columns(4, 4)), record(1, columns(4, 5), **changes)
    (pane,), ((refused, reason),) = absorb(profile, good, bad)
    assert (pane.rows, refused.offset) == (4, 1)
    assert reason.endswith(said)


def test_a_live_span_becomes_the_reference(profile: Profile) -> None:
    """Counts of a codebook and all its parts, by the names they have in panes."""
    (pane,), _ = absorb(profile, record(0, columns(50, 6)))
    event = ReferenceAccepted(
        model="m", version="1", alert_id="a", since=0, until=1, effective_from=1, rows=50, counts=added_up([pane]), reason="x"
    )  # fmt: skip
    accepted = accepted_profile(profile, event)
    for name, known in accepted.monitored().items():
        assert known.rows == 50
        assert np.flatnonzero(known.counts).tolist() == event.counts[name][0]
    assert isinstance(event.counts, dict)
    with pytest.raises(ValueError, match="image:distance"):
        accepted_profile(profile, _without(event, "image:distance"))


def _without(event: ReferenceAccepted, name: str) -> ReferenceAccepted:
    counts = {**event.counts, name: ([0], [3])}
    return ReferenceAccepted(
        **{f: getattr(event, f) for f in event.__struct_fields__ if f != "counts"}, counts=counts
    )


def test_an_event_reads_the_same_either_way() -> None:
    """With simdjson or without."""
    given = columns(5, 7)
    event = record(0, given).event
    assert isinstance(event, PredictionsMade)
    assert event.vectors == {"image": given["image"]}
