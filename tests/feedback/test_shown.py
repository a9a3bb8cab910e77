"""What Prometheus is shown of decided boundaries: how much is labelled of what has had time; nothing where another decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import takewhile

import msgspec
import pytest
from contracts.events import LabelsReported, QualityReported
from fake_kafka import FakeKafka, FakeStores, FakeWorker
from feedback.deciding import Begun
from feedback.domain.coverage import Coverage
from feedback.domain.store import MemoryStore
from feedback.domain.windows import Windows
from feedback.shown import Shown
from prometheus_client import REGISTRY
from servicekit import metrics

HOUR = 3_600_000
DAY = 24 * HOUR
HORIZON = 10 * DAY
ROWS = 20
MODEL = "shown"


def said(end: int, as_of: int, labelled: int, predicted: int = ROWS) -> QualityReported:
    """A report of a window of an hour."""
    return QualityReported(
        model=MODEL, version="1", window_start=end - HOUR, window_end=end, as_of=as_of, revision=0, final=False,
        predicted=predicted, labelled=labelled, coverage=labelled / predicted if predicted else 0.0,
        label_delay_mean=None, metrics={}, confusion=None, estimated={"accuracy": 0.9},
    )  # fmt: skip


def labelled(end: int, as_of: int, accuracy: float) -> LabelsReported:
    """A report of an hour of label time."""
    return LabelsReported(
        model=MODEL, version="1", window_start=end - HOUR, window_end=end, as_of=as_of, revision=0, labelled=5,
        corrections=0, label_delay_mean=1.0, metrics={"accuracy": accuracy}, confusion=None, label_delay={"p50": 2_000.0},
        intervals={}, errors={}, status="ok",
    )  # fmt: skip


def shares(
    labelled_as_of: Callable[[int, int], int],
    hours: int,
    rows: Callable[[int], int] = lambda end: ROWS,
) -> list[float | None]:
    """The share that is shown as of each hour, of windows whose labels come as ``labelled_as_of(end, boundary)`` says."""
    coverage, known = Coverage(HORIZON), dict[int, int]()
    found = []
    for boundary in range(HOUR, (hours + 1) * HOUR, HOUR):
        known[boundary] = -1
        for end, before in known.items():
            if before != (now := labelled_as_of(end, boundary) if rows(end) else 0):
                coverage.take(said(end, boundary, now, rows(end)))
                known[end] = now
        found.append(coverage.get(boundary).get(MODEL))
    return found


def steady(end: int, boundary: int) -> int:
    """Two days late, over six hours."""
    return min(ROWS, max(0, (boundary - end - 2 * DAY) // HOUR * 4))


def weekly(end: int, boundary: int) -> int:
    """All that is new, each seventh day."""
    return ROWS if boundary // (7 * DAY) * 7 * DAY >= end else 0


@pytest.mark.parametrize("late", [steady, weekly, lambda end, boundary: ROWS])
def test_labels_that_come_steadily_are_not_missed_however_late(late: Callable[[int, int], int]) -> None:
    """Nothing is shown before labels come, and then never for six hours less than half."""
    found = shares(late, 24 * 24)
    shown = list(takewhile(lambda share: share is not None, reversed(found)))
    assert len(shown) > 24 * 16
    assert set(found[: -len(shown)]) <= {None}
    low = [share is not None and share < 0.5 for share in found]
    assert not any(all(low[at : at + 6]) for at in range(len(low)))


def test_labels_that_stop_are_missed_after_their_time() -> None:
    """Two days late until the tenth day: hours later nothing is labelled of the windows that have had their time."""
    stop = 10 * DAY
    found = shares(lambda end, boundary: steady(end, min(boundary, stop)), 24 * 30)
    assert found[24 * 10 - 1] == 0.6  # half of the rows come within three hours
    assert found[24 * 10 + 4 :] == [0.0] * (24 * 20 - 4)
    assert all(share != 0 for share in found[: 24 * 10])


def test_labels_that_never_come_are_missed_after_the_horizon() -> None:
    """How late they would be nobody knows before."""
    found = shares(lambda end, boundary: 0, 24 * 12)
    assert found == [None] * 240 + [0.0] * 48


def test_windows_without_rows_are_not_counted() -> None:
    """Quiet nights leave what the last window with rows says."""
    found = shares(lambda end, boundary: ROWS, 24 * 4, lambda end: ROWS if end % DAY < 8 * HOUR else 0)
    assert set(found) == {1.0}


def test_a_straggler_does_not_put_the_alert_off() -> None:
    """One row of two thousand was labelled nine days late; when labels stop, that is seen at once all the same."""
    stop, odd = 9 * DAY + 12 * HOUR, 5 * HOUR

    def late(end: int, boundary: int) -> int:
        if end == odd:
            return int(boundary >= end + 9 * DAY)
        return ROWS if end <= stop else 0

    found = shares(late, 24 * 10, lambda end: 1 if end == odd else ROWS)
    assert all(share is not None and share > 0.9 for share in found[: stop // HOUR])
    assert found[stop // HOUR :] == [0.0] * (24 * 10 - stop // HOUR)


def test_the_few_rows_of_a_night_are_no_share() -> None:
    """They count with those before them, as many as an average window has."""
    night = shares(lambda end, boundary: 0 if end == DAY else ROWS, 24, lambda end: 2 if end == DAY else ROWS)
    assert night[-2:] == [1.0, ROWS / (ROWS + 2)]


def test_versions_of_one_window_are_one_share() -> None:
    """While versions change, a window has rows of both."""
    coverage = Coverage(HORIZON)
    coverage.take(said(HOUR, HOUR, 20))
    coverage.take(msgspec.structs.replace(said(HOUR, HOUR, 0), version="2"))
    assert coverage.get(HOUR) == {MODEL: 0.5}


@pytest.fixture
def shown() -> Iterator[Shown]:
    """One that decides nothing in the end."""
    made = Shown(HORIZON)
    yield made
    made.observe("ended", None)


def value(name: str, **labels: str) -> float | None:
    """What a scrape has."""
    return REGISTRY.get_sample_value(name, labels)


def test_whoever_takes_over_shows_what_was_said_last(shown: Shown) -> None:
    """Coverage, quality and how far is decided are there before the first boundary is decided."""
    reports = [said(HOUR, HOUR, 0), said(HOUR, 2 * HOUR, 19), said(2 * HOUR, 2 * HOUR, 3)]
    shown.observe(
        "begun", Begun(2 * HOUR, reports, [labelled(HOUR, HOUR, 0.7), labelled(2 * HOUR, 2 * HOUR, 0.8)])
    )
    assert value("atalaia_decided_through_seconds", service="feedback") == 7200
    assert value("atalaia_label_coverage", model=MODEL) == 0.95
    assert value("atalaia_quality", model=MODEL, metric="accuracy") == 0.8
    assert value("atalaia_label_delay_seconds", model=MODEL, quantile="p50") == 2
    assert value("atalaia_estimated_quality", model=MODEL, metric="accuracy") == 0.9


def test_labels_uploaded_late_are_shown_and_do_not_take_a_newer_window_back(shown: Shown) -> None:
    """A first report may come after its window's end; of an older window nothing is shown any more."""
    shown.observe("label report", labelled(2 * HOUR, 5 * HOUR, 0.6))
    assert value("atalaia_quality", model=MODEL, metric="accuracy") == 0.6
    shown.observe("label report", labelled(HOUR, 6 * HOUR, 0.1))
    assert value("atalaia_quality", model=MODEL, metric="accuracy") == 0.6
    shown.observe("label report", labelled(2 * HOUR, 7 * HOUR, 0.5))
    assert value("atalaia_quality", model=MODEL, metric="accuracy") == 0.5


async def test_who_no_longer_decides_shows_nothing() -> None:
    """What it showed is gone with its turn, and who takes over shows it before it decides."""
    kafka = FakeKafka(1)
    kafka.write("quality-reports", said(HOUR, HOUR, ROWS))
    kafka.write("label-reports", labelled(HOUR, HOUR, 0.7))
    shows = (metrics.LABEL_COVERAGE, metrics.QUALITY, metrics.ESTIMATED_QUALITY, metrics.LABEL_DELAY)

    def samples() -> list[int]:
        return [len(next(iter(g.collect())).samples) for g in (*shows, metrics.DECIDED_THROUGH)]

    for _ in range(2):
        worker = FakeWorker(
            kafka,
            FakeStores(MemoryStore),
            windows=Windows(HOUR, HOUR),
            horizon=HORIZON,
            observe=Shown(HORIZON).observe,
        )
        worker.progress.state.decided = HOUR
        await worker.start()
        async with asyncio.timeout(20):
            while value("atalaia_decided_through_seconds", service="feedback") != 3600:  # noqa: ASYNC110  nobody tells, it has to be asked
                await asyncio.sleep(0.01)
        assert samples() == [1, 1, 1, 1, 1]
        await worker.end()
        assert samples() == [0, 0, 0, 0, 0]
