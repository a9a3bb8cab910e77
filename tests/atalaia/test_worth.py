"""What an alert led to: the promoted version against the one before, on the same rows, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from atalaia.demo import alerts, worth
from atalaia.demo.story import Outcomes, Story
from atalaia.demo.worth import DAY, Worth, worths

SETTINGS = {"min_effect": 0.05, "alpha": 0.001, "correction": "bh"}


@pytest.fixture
def outcomes(made: ModuleType) -> Outcomes:
    """Version 1 serves a day, version 2 forty; each day half of 4 rows are late, and version 2 says .8 and .2."""
    found = Outcomes()
    found.update(made.outcomes("1", 0))
    for day in range(1, 41):
        found.update(made.outcomes("2", day * DAY))
    return found


def scored(monkeypatch: pytest.MonkeyPatch, yes: float) -> list[Any]:
    """Let every earlier version say this; returns what was asked for."""
    asked: list[Any] = []

    def score(bundle: Any, outcomes: Outcomes, rows: Any) -> tuple[list[str], Mapping[str, Any]]:
        asked.append((bundle, rows.tolist()))
        return ["no"] * len(rows), {"no": np.full(len(rows), 1 - yes), "yes": np.full(len(rows), yes)}

    monkeypatch.setattr(worth, "score", score)
    return asked


def test_both_versions_are_judged_on_the_rows_that_the_new_one_served(
    outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier one is scored on those alone, and the losses are the mean log loss of each."""
    asked = scored(monkeypatch, 0.5)
    found = worths(outcomes, {"1": "one", "2": "two"}, ["1", "2", "3"])  # type: ignore[dict-item]
    assert asked == [("one", list(range(4, 164)))]
    assert list(found) == ["2"]
    own = found["2"]
    assert (own.previous, own.rows, own.metric) == ("1", 160, "log loss")
    assert own.before == pytest.approx(np.log(2))
    assert own.after == pytest.approx(-(np.log(0.8) + np.log(0.2)) / 2)
    assert own.gain == pytest.approx(own.before - own.after)
    # Each day is like the other: drawing days moves nothing, and worse is worse beyond chance.
    assert own.low == pytest.approx(own.gain)
    assert own.high == pytest.approx(own.gain)
    assert not own.proven


def test_a_gain_is_proven_by_days_not_by_rows() -> None:
    """A gain that all rows of a few lucky days share is not beyond chance, however many rows there are."""
    days = np.repeat(np.arange(20), 500)
    per_day = np.where(np.arange(20) < 3, 0.4, -0.04)  # mean .026
    by_rows = 1.96 * per_day[days].std() / np.sqrt(len(days))
    low, high = worth._interval(per_day[days], days * DAY)
    assert low < 0 < per_day.mean() - by_rows < high


def test_without_probabilities_wrong_answers_count(made: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error rate is the loss then."""
    found = Outcomes()
    found.update(made.outcomes("1", 0, probabilities=None))
    found.update(made.outcomes("2", DAY, probabilities=None))
    monkeypatch.setattr(worth, "score", lambda bundle, outcomes, rows: (["yes"] * len(rows), {}))
    own = worths(found, {"1": None}, ["1", "2"])["2"]  # type: ignore[dict-item]
    assert (own.metric, own.before, own.after) == ("error rate", 0.5, 0.5)


def judged(gain: float, low: float, high: float) -> Worth:
    """Version 7 against version 1."""
    return Worth("7", "1", "log loss", 1000, 0.5, 0.5 - gain, low, high)


def told(story: Story, found: Worth | None = None) -> list[dict[str, Any]]:
    """With facts that repeat the spans they were asked for."""
    return alerts.tell(story, {"7": found} if found else {}, lambda a, b: {"spans": f"{a} {b}"})


def test_an_alert_is_told_whole(made: ModuleType) -> None:
    """Features by effect, the spans compared, the decisions, how it was closed, and what the new version was worth."""
    story: Story = made.make_story()
    opened = story.alerts[0]
    story.alerts.append(
        msgspec.structs.replace(
            opened, state="ok", previous="drift", window_end=2 * made.HOUR, features={},
            reason="drift -> ok: version 7 serves",
        )
    )  # fmt: skip
    (one,) = told(story, judged(0.02, 0.01, 0.03))
    assert list(one["features"]) == ["temp", "origin"]
    assert one["changed"] == {"spans": f"(0, 0) (0, {made.HOUR})"}
    assert one["outcome"] == "refused once, then version 7 promoted (gain +0.1000)"
    assert one["worth"]["proven"]
    page = alerts.page("flights", SETTINGS, [one])
    assert "1 alert (1 virtual); 1 led to a new version, and 1 of these to a better one" in page
    assert (
        "On all 1,000 rows that new versions served, log loss is 0.4800; that of the version before each is 0.5000"
        in page
    )
    assert "temp D 0.50 (p 1e-19), origin V 0.30 (p 1e-19)" in page
    assert "closed 1970-01-01, version 7 serves" in page
    assert "log loss 0.5000 → 0.4800, +0.0200 (+0.0100 to +0.0300) on 1,000 rows: better |" in page


def test_alerts_that_one_training_answers_share_its_version(made: ModuleType) -> None:
    """Each is told to have led to it; the rows that it served are counted once."""
    story: Story = made.make_story()
    story.alerts.append(msgspec.structs.replace(story.alerts[0], alert_id="b", kind="real"))
    story.decisions = [msgspec.structs.replace(d, answers=["a", "b"]) for d in story.decisions]
    both = told(story, judged(0.02, 0.01, 0.03))
    assert {one["outcome"] for one in both} == {"refused once, then version 7 promoted (gain +0.1000)"}
    page = alerts.page("flights", SETTINGS, both)
    assert "2 alerts (1 virtual, 1 real); 2 led to a new version, and 2 of these to a better one" in page
    assert "On all 1,000 rows that new versions served, log loss is 0.4800" in page


@pytest.mark.parametrize(
    ("found", "sentence", "verdict"),
    [
        (judged(0.02, -0.01, 0.03), "1 of these to a better one", "better, within chance"),
        (judged(-0.02, -0.03, 0.01), "0 of these to a better one", "not better, within chance"),
        (judged(-0.02, -0.03, -0.01), "and 1 worse beyond chance", "worse"),
    ],
)
def test_what_is_not_better_is_said_to_be_so(
    made: ModuleType, found: Worth, sentence: str, verdict: str
) -> None:
    """Better by chance, not better and worse are three things, and none counts as proven."""
    one = told(made.make_story(), found)
    assert sentence in alerts.count(one)
    assert "0 of them beyond chance" in alerts.count(one)
    assert f"rows: {verdict} |" in alerts.page("flights", SETTINGS, one)


def test_a_version_without_labelled_rows_is_not_judged(made: ModuleType) -> None:
    """It counts as neither better nor worse, and an alert that nothing closed is open."""
    one = told(made.make_story())
    assert "0 of these to a better one" in alerts.count(one)
    assert "1 served no labelled row" in alerts.count(one)
    assert "still open at the end" in alerts.page("flights", SETTINGS, one)


def test_a_real_alert_is_told_by_its_error(made: ModuleType) -> None:
    """No feature drifted: its reason stands there, without the other alert's id."""
    story = made.make_story()
    told_of = "ok -> drift: error 0.1 -> 0.3 over 9 labelled rows; virtual too (46990346-2ef0-59d3-9db7-c9caa115cab4)"
    story.alerts = [msgspec.structs.replace(story.alerts[0], kind="real", features={}, reason=told_of)]
    page = alerts.page("flights", SETTINGS, told(story))
    assert "| real | error 0.1 -> 0.3 over 9 labelled rows; virtual too |" in page


def test_a_versions_reference_is_what_it_was_made_of(made: ModuleType) -> None:
    """Of a promoted version the rows since its change point, of the first all before it served."""
    story = made.make_story()
    assert alerts.reference_span(story, "7") == (0, 2 * made.HOUR)
    assert alerts.reference_span(story, "1") == (0, 0)
