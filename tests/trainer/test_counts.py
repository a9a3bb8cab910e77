"""Counts by window and times kept sorted are what going through all of them would give."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.events import QualityReported
from hypothesis import given
from hypothesis import strategies as st
from trainer.domain import times
from trainer.domain.counts import Counts
from trainer.domain.evidence import Evidence
from trainer.domain.ledger import Ledger
from trainer.domain.times import EventTimes
from trainer_fakes import outcomes

REPORTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(0, 9), st.integers(0, 9), st.sampled_from("12")),
    max_size=30,
)  # fmt: skip


def quality(window: int, as_of: int, predicted: int, labelled: int, version: str = "1") -> QualityReported:
    """A word on the window that begins at ten times its number."""
    return QualityReported(
        model="m", version=version, window_start=10 * window, window_end=10 * window + 10, as_of=as_of, revision=0,
        final=False, predicted=predicted, labelled=labelled, coverage=1.0, label_delay_mean=None, metrics={},
        confusion=None,
    )  # fmt: skip


@given(REPORTS, st.integers(0, 60), st.integers(0, 60))
def test_a_window_counts_what_was_said_last_of_each_version(
    said: list[Any], boundary: int, after: int
) -> None:
    """In whatever order it came; what is new since a boundary is what was said or has ended since."""
    counts = Counts()
    for word in said:
        counts.update(quality(*word))
    for window in {word[0] for word in said}:
        newest = {
            version: max((w[1:4] for w in said if (w[0], w[4]) == (window, version) and w[1] <= boundary), default=(0, 0, 0))
            for version in "12"
        }  # fmt: skip
        expected = tuple(sum(word[i] for word in newest.values()) for i in (1, 2))
        assert counts.of((10 * window, 10 * window + 10), boundary) == expected
    new = {10 * w[0] for w in said if after < max(w[1], 10 * w[0] + 10) <= boundary}
    assert {start for start, _ in counts.said(after, boundary)} == new
    ended = sorted({10 * w[0] for w in said if 10 * w[0] + 10 <= boundary}, reverse=True)
    assert [start for start, _ in counts.until(boundary)] == ended


@pytest.mark.parametrize("tail", [0, 3, 1_000])
@given(st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)))), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))  # fmt: skip
def test_sorted_times_count_as_all_times_do(
    tail: int, batches: list[list[tuple[int, int]]], since: int, until: int, as_of: int
) -> None:
    """After each batch, wherever it is kept."""
    until = max(since, until)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(times, "_TAIL", tail)
        kept, rows = EventTimes(), list[tuple[int, int]]()
        for batch in batches:
            kept.update([e for e, _ in batch], [la for _, la in batch])
            rows += batch
            assert kept.count(since, until, as_of) == sum(since <= e < until and la < as_of for e, la in rows)


def test_only_what_was_said_since_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window whose outcomes were here at the last boundary is not counted again; one of which more is said is."""
    looked: list[int] = []
    labelled = Ledger.labelled

    def of(self: Ledger, start: int, end: int, as_of: int) -> int:
        looked.append(start)
        return labelled(self, start, end, as_of)

    monkeypatch.setattr(Ledger, "labelled", of)
    evidence, ledger = Evidence(), Ledger()
    ledger.update(outcomes(0, 40))  # rows of [0, 1000), one each 25
    for k in range(5):
        evidence.measured(quality(k, 10 * k + 10, 0, 0))
        assert evidence._outcomes(10 * k + 10, ledger) is None
    assert looked == [0, 10, 20, 30, 40]
    looked.clear()
    evidence.measured(quality(2, 35, 1, 1))  # late, and of before
    assert evidence._outcomes(60, ledger) is None
    assert looked == [20]
    evidence.measured(quality(2, 60, 2, 2))
    said = "outcomes: 1 of 2 labelled rows of window [20, 30) as of 70"
    assert [evidence._outcomes(70, ledger) for _ in range(2)] == [said, said]
    evidence.measured(quality(1, 5, 0, 0, "2"))
    assert evidence._outcomes(20, ledger) is None  # an earlier boundary is looked at whole
    assert evidence._outcomes(70, ledger) == said
