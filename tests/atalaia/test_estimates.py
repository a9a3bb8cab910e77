"""Estimated against realised quality, from made-up reports."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest
from atalaia.demo.estimates import Figure, pool, tell
from atalaia.demo.report.estimates import section
from atalaia.demo.report.theme import styled
from atalaia.demo.story import Story
from contracts.events import QualityReported, SegmentQuality

DAY = 86_400_000
FEBRUARY = 1_359_694_800_000  # 2013-02-01, midnight in New York
HOUR = 3_600_000
NO_MARKS: dict[str, Any] = {"versions": []}


def report(
    at: float,
    accuracy: float = 0.8,
    estimated: float | None = 0.8,
    *,
    days: int = 14,
    labelled: int = 900,
    **changes: Any,
) -> QualityReported:
    """A window of ``days`` that starts ``at`` days after the first of February, a tenth of its rows without a label."""
    start = FEBRUARY + int(at * DAY)
    fields: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "window_start": start,
        "window_end": start + days * DAY,
        "as_of": start + days * DAY,
        "revision": 0,
        "final": False,
        "predicted": labelled * 10 // 9,
        "labelled": labelled,
        "coverage": 0.9,
        "label_delay_mean": 3.0 * HOUR,
        "metrics": {"accuracy": accuracy, "auc": accuracy - 0.1},
        "confusion": None,
        "intervals": {
            "accuracy": (accuracy - 0.03, accuracy + 0.02),
            "auc": (accuracy - 0.14, accuracy - 0.06),
        },
        "estimated": {} if estimated is None else {"accuracy": estimated, "auc": estimated - 0.1},
        "label_delay": {"p50": 2.0 * HOUR, "p99": 9.0 * HOUR},
    }
    return QualityReported(**(fields | changes))


def story(*reports: QualityReported) -> Story:
    """A run that said nothing else."""
    return Story(quality=list(reports))


def year() -> Story:
    """Twenty-four windows of two weeks; the estimate is off by .01, but by .05 in the window of 5 July."""
    off = {154: 0.05}
    return story(*(report(14 * k, 0.8, 0.8 + off.get(14 * k, 0.01)) for k in range(24)))


def test_a_window_belongs_to_the_month_of_its_middle() -> None:
    """Two weeks do not end with months: February has two windows, May three, and all rows are somewhere."""
    told = tell(year())
    assert told.by == "month"
    assert [p.name for p in told.periods] == [f"2013-{m:02}" for m in range(2, 13)]
    whole = [round((p.end - p.start) / (14 * DAY)) for p in told.periods]
    assert (whole[0], whole[3], sum(whole)) == (2, 3, 24)
    assert sum(p.labelled for p in told.periods) == 24 * 900
    assert {p.coverage for p in told.periods} == {0.9}


def test_how_far_the_estimates_were_off() -> None:
    """The mean over months of the absolute difference, and the month in which it was largest."""
    off = tell(year()).off["accuracy"]
    assert (off.at, off.of) == ("2013-07", 11)
    assert off.largest == pytest.approx(0.03)  # July has two windows, off by .05 and .01
    assert off.mean == pytest.approx((10 * 0.01 + 0.03) / 11)
    assert tell(year()).off["auc"].mean == pytest.approx(off.mean)
    assert off.carried == 0  # every month is like the one before
    steps = story(*(report(30 * k, 0.8 + 0.02 * (k % 2)) for k in range(4)))
    assert tell(steps).off["accuracy"].carried == pytest.approx(0.02)
    assert tell(story(report(0))).off["accuracy"].carried is None


def test_a_month_weighs_its_windows_by_rows() -> None:
    """Realised by labelled rows, which is the accuracy of all of them; estimated by predicted rows; the delay too."""
    months = [report(at) for at in (28, 59)]
    first = report(0, 0.5, 0.6, labelled=900)
    second = report(14, 0.8, 0.7, labelled=2700, predicted=9000, label_delay={"p50": 4.0 * HOUR})
    told = tell(story(first, second, *months)).periods[0]
    figure = told.figures["accuracy"]
    assert (told.predicted, told.labelled, figure.rows) == (10_000, 3600, 3600)
    assert figure.realised == pytest.approx((900 * 0.5 + 2700 * 0.8) / 3600)
    assert figure.estimated == pytest.approx((1000 * 0.6 + 9000 * 0.7) / 10_000)
    assert told.label_delay == pytest.approx((900 * 2 + 2700 * 4) / 3600 * HOUR)


def test_of_a_window_the_last_revision_counts() -> None:
    """What was said of a window before is replaced, whatever the order on the topic."""
    early = report(0, 0.5, 0.9, labelled=90, predicted=1000)
    late = report(0, 0.7, 0.9, revision=3, as_of=early.as_of + 30 * DAY)
    between = report(0, 0.6, 0.9, revision=2, as_of=early.as_of + 14 * DAY)
    for order in ((early, between, late), (late, early, between)):
        (told,) = tell(story(*order)).periods
        assert (told.labelled, told.figures["accuracy"].realised) == (900, 0.7)


def test_all_versions_of_a_window_count_and_no_row_twice() -> None:
    """Where a version took over within a window both report it; of windows that hop every other is left."""
    both = story(report(0, labelled=90), report(0, labelled=810, version="2"))
    assert [p.labelled for p in tell(both).periods] == [900]
    hopping = story(*(report(at, days=14) for at in (0, 7, 14, 21, 28)))
    assert [p.start for p in tell(hopping).periods] == [FEBRUARY + at * DAY for at in (0, 14, 28)]


def test_a_short_run_is_told_window_by_window() -> None:
    """Less than three months are no plot by month."""
    told = tell(story(*(report(at / 24, days=1) for at in (0, 24, 48))))
    assert told.by == "window"
    assert [p.name for p in told.periods] == ["2013-02-01 05:00", "2013-02-02 05:00", "2013-02-03 05:00"]


def test_one_part_keeps_its_interval_and_more_narrow_it() -> None:
    """Each side by itself: of k parts alike an interval is narrower by the root of k."""
    one, four = pool([report(0)], "accuracy"), pool([report(at) for at in range(4)], "accuracy")
    assert one == Figure(900, 0.8, pytest.approx(0.77), pytest.approx(0.82), 0.8)
    assert four is not None
    assert (four.low, four.high) == (pytest.approx(0.8 - 0.03 / 2), pytest.approx(0.8 + 0.02 / 2))


def test_a_pooled_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Wilson's intervals of twelve windows of a hundred rows, pooled: 95% within two points, in 2,000 draws."""
    generator = np.random.default_rng(0)
    truth, n = np.linspace(0.6, 0.9, 12), 100
    held = 0
    for hits in generator.binomial(n, truth, size=(2000, 12)):
        parts = []
        for k in hits:
            middle, half = _wilson(k, n)
            parts.append(report(0, k / n, labelled=n, intervals={"accuracy": (middle - half, middle + half)}))
        found = pool(parts, "accuracy")
        assert found is not None
        held += found.low <= truth.mean() <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def _wilson(hits: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    return middle, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def test_a_part_without_an_interval_may_be_anything() -> None:
    """Few rows have none: they widen the whole by their weight, and no limit leaves 0 to 1."""
    few = report(0, 1.0, labelled=9, intervals={})
    alone, among = pool([few], "accuracy"), pool([few, report(14)], "accuracy")
    assert alone is not None
    assert (alone.low, alone.high) == (0.0, 1.0)
    assert among is not None
    assert among.realised - among.low == pytest.approx(
        math.hypot(0.01 * 9 / 9.09, 0.03 * 900 / 909), abs=2e-3
    )


def test_parts_without_an_estimate_or_a_label_are_left_out() -> None:
    """Realised and estimated are of the same versions' rows, or of none."""
    known = report(0)
    for odd in (report(14, 0.1, None), report(14, labelled=0, metrics={}, intervals={})):
        assert pool([known, odd], "accuracy") == pool([known], "accuracy")
        assert pool([odd], "accuracy") is None


def part(accuracy: float, rows: int, estimated: float = 0.75) -> SegmentQuality:
    """A segment of one window."""
    return SegmentQuality(
        predicted=2 * rows, labelled=rows, coverage=0.5, metrics={"accuracy": accuracy},
        intervals={"accuracy": (accuracy - 0.1, accuracy + 0.1)}, estimated={"accuracy": estimated},
    )  # fmt: skip


def test_segments_add_up_over_the_run_the_worst_first() -> None:
    """By feature, each value's rows of all windows together."""
    first = report(
        0, segments={"origin": {"JFK": part(0.9, 10), "EWR": part(0.6, 30)}, "carrier": {"UA": part(0.5, 40)}}
    )
    second = report(14, segments={"origin": {"JFK": part(0.7, 30, 0.95), "LGA": part(0.3, 5)}})
    told = tell(story(first, second)).segments
    assert [(s.feature, s.value) for s in told] == [
        ("carrier", "UA"), ("origin", "LGA"), ("origin", "EWR"), ("origin", "JFK"),
    ]  # fmt: skip
    jfk = told[-1]
    assert (jfk.labelled, jfk.predicted) == (40, 80)
    assert jfk.accuracy.realised == pytest.approx(0.75)
    assert jfk.accuracy.estimated == pytest.approx(0.9)


def test_the_section_shows_months_and_segments() -> None:
    """A figure, a row a month, and the segments' values as text, whatever is in them."""
    run = year()
    run.quality[0] = report(0, 0.8, 0.81, segments={"origin": {"<b>": part(0.6, 30)}})
    with styled():
        text = section(
            tell(run), {"versions": [{"action": "promoted", "served_from": FEBRUARY, "decided_at": 0}]}
        )
    assert "Estimated against realised, month by month" in text
    assert text.count("<svg") == 1
    assert text.count("2013-0") + text.count("2013-1") >= 11
    assert "by 0.0300 at most (2013-07)" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "#0102" not in text


def test_where_nothing_is_estimated_the_section_says_so() -> None:
    """A regression has no probabilities: one sentence. A run without reports has no section."""
    run = story(report(0, estimated=None, metrics={"mae": 3.0}, intervals={}))
    with styled():
        text = section(tell(run), NO_MARKS)
        assert section(tell(story()), NO_MARKS) == ""
    assert "No report bears an estimate" in text
    assert "<table" not in text
    assert "<svg" not in text


def test_the_report_and_its_summary_hold_it(made: ModuleType) -> None:
    """What is told is plain data: it goes into summary.json as it is."""
    content = orjson.loads(orjson.dumps(dataclasses.asdict(tell(year()))))
    assert content["by"] == "month"
    assert content["periods"][0]["figures"]["accuracy"]["rows"] == 1800
    assert tell(made.make_story()).off == {}
