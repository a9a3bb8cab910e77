"""Which selections of rows a training tries, and that what the project says of them is believed only where it is true."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from contracts.events import CandidateTried
from hypothesis import given
from hypothesis import strategies as st
from trainer.domain.candidates import ALL, RECENT, SINCE, WEIGHTED, candidates
from trainer.domain.challenge import Scored, challenge
from trainer.domain.tried import Tried

IDS = np.array(["p", "q", "r"])


@given(st.lists(st.integers(0, 99), min_size=2, max_size=60), st.integers(0, 99))
def test_each_candidate_takes_rows_of_its_own(times: list[int], since: int) -> None:
    """ "recent" reaches back beyond the change, and to no more old rows than there are new ones, but for equal times."""
    event_time = np.sort(np.array(times, dtype=np.int64))
    found = {c.name: c for c in candidates(event_time, since, 100)}
    assert next(iter(found)) == ALL
    new = int((event_time >= since).sum())
    assert (SINCE in found) == (new > 0)
    assert (RECENT in found) == (0 < new < len(times))
    if RECENT in found:
        start = found[RECENT].since
        assert start is not None
        assert start < since
        assert int(((event_time > start) & (event_time < since)).sum()) < new
        assert int(((event_time >= start) & (event_time < since)).sum()) >= min(new, len(times) - new)
    assert (WEIGHTED in found) == (event_time[0] < event_time[-1])


@pytest.mark.parametrize("rows", [0, 1])
def test_without_live_rows_there_is_one_candidate(rows: int) -> None:
    """Nothing to choose from: the project's base rows, with or without the one."""
    assert [c.name for c in candidates(np.arange(rows), 0, 10)] == [ALL]


def report(**changed: Any) -> bytes:
    """What a project says of two candidates."""
    one = {"rows": 3, "since": None, "half_life_ms": None, "metrics": {"accuracy": 1.0}}
    said = {
        "metric": "accuracy",
        "chosen": "b",
        "duplicates": 2,
        "candidates": {"a": one, "b": one | {"since": 7}},
    }
    return json.dumps(said | changed).encode()


def columns(**changed: Any) -> dict[str, Any]:
    """And what each of three rows costs them."""
    return {"prediction_id": IDS.tolist(), "a": [1.0, 1.0, 0.0], "b": [0.0, 0.0, 0.0]} | changed


def test_what_a_project_says_of_its_candidates_is_read() -> None:
    """The choice, each candidate's figures, its losses, and the copies that were kept out."""
    tried = Tried.of(report(), columns(), IDS)
    assert (tried.chosen, tried.duplicates, tried.losses["a"].tolist()) == ("b", 2, [1.0, 1.0, 0.0])
    assert tried.candidates["b"] == CandidateTried(
        rows=3, since=7, half_life_ms=None, metrics={"accuracy": 1.0}
    )


@pytest.mark.parametrize(
    ("said", "table", "words"),
    [
        ({}, {"prediction_id": ["q", "p", "r"]}, "not of the held-out rows"),
        ({}, {"c": [0.0, 0.0, 0.0]}, "different candidates"),
        ({"chosen": "c"}, {}, "different candidates"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    said: dict[str, Any], table: dict[str, Any], words: str
) -> None:
    """Other rows, another order, a candidate that only one of the two knows."""
    with pytest.raises(ValueError, match=words):
        Tried.of(report(**said), columns(**table), IDS)


def judged(tried: Tried | None, wins: int = 40) -> Any:
    """A challenger that is right on 100 rows, a champion that is wrong on ``wins`` of them."""
    truth = np.zeros(100, dtype=np.int64)
    champion = Scored((np.arange(100) < wins).astype(np.int64))
    return challenge(
        truth, champion, Scored(truth), metric="accuracy", task="classification", min_gain=0.0,
        promote_p_value=0.05, tried=tried,
    )  # fmt: skip


def of(losses: dict[str, Any], metric: str = "accuracy") -> Tried:
    """Candidates of which "b" was chosen."""
    one = CandidateTried(rows=9, since=None, half_life_ms=None, metrics={})
    return Tried(metric, "b", dict.fromkeys(losses, one), losses, 0)


def test_the_reason_names_the_choice_and_the_test_that_pays_for_it() -> None:
    """Which candidate, of how many, and by what test; one candidate is judged as ever."""
    verdict = judged(of({"a": np.ones(100), "b": np.zeros(100)}))
    assert verdict.promoted
    assert verdict.reason == (
        "better: accuracy 1.0000 against the champion's 0.6000 on 100 unseen rows, trained on 'b', chosen among 2 "
        "(joint sign-flip test by rows p = 0.0001)"
    )
    assert judged(of({"b": np.zeros(100)})) == judged(None)
    assert "McNemar" in judged(None).reason


def test_a_choice_among_many_needs_more_than_a_lucky_one() -> None:
    """Five rows won are proven for one candidate; not for the luckiest of eight that err on rows of their own."""
    generator = np.random.default_rng(0)
    losses = {f"c{i}": (generator.permutation(100) < 10).astype(float) for i in range(7)} | {
        "b": np.zeros(100)
    }
    assert judged(of({"b": np.zeros(100)}), 5).promoted
    verdict = judged(of(losses), 5)
    assert not verdict.promoted
    assert verdict.reason.startswith("not proven")


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (of({"a": np.zeros(100), "b": np.ones(100)}), "not those of the candidate 'b'"),
        (of({"a": np.full(100, np.nan), "b": np.zeros(100)}), "'a' is no finite number"),
        (of({"a": np.full(100, -np.inf), "b": np.zeros(100)}), "'a' is no finite number"),
        (of({"a": np.zeros(100), "b": np.zeros(100)}, "log_loss"), "compared by log_loss, not by accuracy"),
    ],
)
def test_losses_that_are_not_the_version_s_are_refused(tried: Tried, words: str) -> None:
    """The trainer scores the registered version itself: what the project says of it must agree."""
    with pytest.raises(ValueError, match=words):
        judged(tried)
