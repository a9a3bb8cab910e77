"""What a demonstration asserts: the fixed policies it is held against, and how soon a new version answers."""

from __future__ import annotations

from types import ModuleType

import msgspec
import numpy as np
import pytest
from atalaia.demo.figures import Scores
from atalaia.demo.replay import Sent
from atalaia.demo.swift import swiftness
from atalaia.demo.worlds import Evidence, _flights_checks, swift

POLICIES = {
    "frozen": {"log_loss": 0.6, "auc": 0.5, "log_loss_year": 0.6, "trainings": 0.0},
    "monthly": {"log_loss": 0.5, "auc": 0.5, "log_loss_year": 0.5, "trainings": 2.0},
}


def evidence(made: ModuleType, policies: dict[str, dict[str, float]]) -> Evidence:
    """The made-up run beside these policies."""
    story = made.make_story()
    n = len(story.outcomes)
    scores = Scores(story.outcomes, (["no"] * n, {"no": np.full(n, 0.5), "yes": np.full(n, 0.5)}))
    return Evidence(story, Sent(), scores, made.HOUR, policies)


@pytest.mark.parametrize(
    ("of_best", "trainings", "ok"),
    [(1.0, 9, [True, True]), (0.98, 2, [False, False]), (0.995, 3, [True, True])],
)
def test_the_year_is_held_against_the_best_fixed_policy(
    made: ModuleType, of_best: float, trainings: int, ok: list[bool]
) -> None:
    """Served log loss of all rows, not only those after a promotion, is at most 1.01 of the best's, with fewer trainings."""
    plain = evidence(made, {})
    served = plain.scores.metrics("served", np.ones(len(plain.scores.time), dtype=bool))["log_loss"]
    best = {"log_loss": 0.1, "auc": 0.5, "log_loss_year": served * of_best, "trainings": float(trainings)}
    worse = POLICIES["frozen"] | {"log_loss_year": 9.0}
    checks = {c.name: c for c in _flights_checks(evidence(made, {"worse": worse, "best": best}))}
    year = checks["log loss over the year at most 1.01 of the best fixed policy's"]
    fewer = checks["with fewer trainings"]
    assert [year.ok, fewer.ok] == ok
    assert "of best" in year.seen
    assert fewer.seen == f"2 against {trainings}"


def test_a_training_is_a_run_of_the_pipeline_whatever_came_of_it(made: ModuleType) -> None:
    """Refused and failed runs count, a started one counts with its end, and waiting for rows is none."""
    plain = evidence(made, {})
    runs = plain.trainings()
    plain.story.decisions += [made.decision("waiting", "rows", 8), made.decision("failed", "no", 9)]
    plain.story.decisions += [made.decision("started", "now", 9)]
    assert plain.trainings() == runs + 1


def timed(made: ModuleType, train: float, answer: int) -> Evidence:
    """A run whose first promotion's report was written at second 100, its alert at second 60."""
    found = evidence(made, {})
    story = found.story
    [promoted] = story.promotions
    at = made.HOUR
    story.decisions = [
        msgspec.structs.replace(
            promoted, as_of=at, seconds={"snapshot": 0.5, "train": train, "register": 2.0, "judge": 0.1}
        )
    ]
    story.written = {
        "drift-reports": [100_000 if r.window_end == at else 0 for r in story.drift],
        "drift-alerts": [60_000 for _ in story.alerts],
    }
    found.sent.answered = {promoted.challenger_version: answer}
    return found


def test_the_clock_runs_from_the_report_with_rows_enough_to_the_first_answer(made: ModuleType) -> None:
    """Training is apart from what the platform takes; the time since the alert was raised, with its labels, is told too."""
    found = timed(made, 9.0, 115_500)
    seen = swiftness(found.story, found.sent.answered)
    assert seen is not None
    assert (seen.whole, seen.training, seen.own, seen.raised) == (15.5, 9.0, 6.5, 55.5)
    assert (
        "15.5 s, 9.0 of them training, 6.5 the platform's own (snapshot 0.5, register 2.0, judge 0.1"
        in seen.words
    )


@pytest.mark.parametrize(
    ("train", "answer", "ok"), [(9.0, 115_500, True), (9.0, 120_000, False), (55.0, 161_000, False)]
)
def test_how_soon_it_was_is_shown_and_does_not_count(
    made: ModuleType, train: float, answer: int, ok: bool
) -> None:
    """More than 60 s, or more than 10 s of the platform's own, is marked; the loop closes all the same."""
    check = swift(timed(made, train, answer))
    assert (check.ok, check.counts) == (ok, False)


def test_a_run_without_times_says_so(made: ModuleType) -> None:
    """Records of before there were seconds, or a version that no client was answered by, have no figure."""
    found = timed(made, 9.0, 115_500)
    assert swiftness(found.story, {}) is None
    assert not swift(evidence(made, {})).ok
