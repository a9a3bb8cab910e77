"""What people read of the trainer's decisions is at ``/metrics``, and nothing of an earlier one."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.events import CandidateTried, PromotionReviewed, TrainingDecided
from prometheus_client import REGISTRY
from servicekit.config import read_settings
from trainer.domain.actions import Actions
from trainer.domain.history import History
from trainer.shown import show_actions, show_decision, show_history, show_pending, show_review


def decided(decision: str, **given: Any) -> TrainingDecided:
    """A decision about model ``shown``."""
    return TrainingDecided(
        **{
            "run_id": "r", "model": "shown", "alert_id": "a", "as_of": 1, "decision": decision, "reason": "so",
            "since": 0, "until": None, "rows": {"labelled": 50, "needed": 200}, "champion_version": "1",
            "challenger_version": None, "metrics": {}, "gain": None, "p_value": None, "mlflow_run_id": None,
            "dvc_revision": None, "data_sha256": None, "trigger": "virtual", **given,
        }
    )  # fmt: skip


def challenged(decision: str, gain: float, **given: Any) -> TrainingDecided:
    """A decision about a challenge."""
    metrics = {"champion": {"accuracy": 0.7}, "challenger": {"accuracy": 0.7 + gain}}
    rows = {"labelled": 500, "needed": 200, "train": 350, "holdout": 150}
    return decided(
        decision, challenger_version="2", metrics=metrics, gain=gain, p_value=0.25, rows=rows, **given
    )


def shown() -> dict[str, dict[tuple[str, ...], float]]:
    """``{metric: {other labels: value}}`` of the model, as a scrape has them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if sample.labels.get("model") == "shown":
                labels = tuple(value for name, value in sample.labels.items() if name != "model")
                found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_a_challenge_is_shown_until_the_next() -> None:
    """Figures of both, gain and p-value stay while later decisions wait; decision and rows are those of the last."""
    show_decision(challenged("refused", -0.1))
    show_decision(decided("waiting"))
    seen = shown()
    assert seen["atalaia_training_info"] == {("waiting", "virtual", "1", ""): 1}
    assert seen["atalaia_training_rows"] == {("labelled",): 50, ("needed",): 200}
    assert seen["atalaia_challenge_metric"][("champion", "accuracy")] == 0.7
    assert seen["atalaia_challenge_gain"] == {("2",): -0.1}
    assert seen["atalaia_challenge_p_value"] == {("2",): 0.25}
    show_decision(challenged("promoted", 0.2))
    assert shown()["atalaia_challenge_gain"] == {("2",): 0.2}
    assert shown()["atalaia_training_info"] == {("promoted", "virtual", "1", "2"): 1}


def test_a_restart_shows_what_the_topic_has() -> None:
    """Of the decisions read back the last is shown, and the last challenge among them."""
    show_history([challenged("promoted", 0.3), decided("failed", trigger=None)])
    assert shown()["atalaia_training_info"] == {("failed", "", "1", ""): 1}
    assert shown()["atalaia_challenge_gain"] == {("2",): 0.3}


def test_how_a_challenger_came_about_is_shown_until_the_next() -> None:
    """Seconds of each step, and of each candidate its rows, figures and whether it was chosen; none of an earlier training."""
    one = {"all": CandidateTried(90, None, None, {"accuracy": 0.6})}
    show_decision(
        challenged("refused", -0.1, seconds={"train": 3.0, "judge": 0.5}, candidates=one, chosen="all")
    )
    two = one | {"since the change": CandidateTried(30, 1, None, {"accuracy": 0.8})}
    show_decision(
        challenged("promoted", 0.1, seconds={"train": 4.0}, candidates=two, chosen="since the change")
    )
    show_decision(decided("waiting"))
    seen = shown()
    assert seen["atalaia_training_seconds"] == {("train",): 4.0}
    assert seen["atalaia_candidate_rows"] == {("all",): 90, ("since the change",): 30}
    assert seen["atalaia_candidate_chosen"] == {("all",): 0, ("since the change",): 1}
    assert seen["atalaia_candidate_metric"][("since the change", "accuracy")] == 0.8


def test_who_waits_is_shown_while_it_waits() -> None:
    """A run that has won: since when by the wall clock, for what, and how far its shadow period is; then nothing."""
    history = History()
    run = challenged("waiting", 0.1, waits_for="shadow")
    history.record(run, said_at=5_000)
    show_pending(history, None, 150)
    assert shown()["atalaia_pending_since_seconds"] == {("shadow", "2"): 5}
    assert shown()["atalaia_shadow_period_rows"] == {("labelled",): 0, ("needed",): 150}
    history.record(challenged("waiting", 0.1, waits_for="approval"), said_at=9_000)
    show_pending(history, 150, 150)
    assert shown()["atalaia_pending_since_seconds"] == {("approval", "2"): 9}
    assert "atalaia_shadow_period_rows" not in shown()
    history.record(challenged("promoted", 0.1), said_at=11_000)
    show_pending(history, 150, 150)
    assert "atalaia_pending_since_seconds" not in shown()


def test_what_was_done_last_is_shown() -> None:
    """Each with its version, what asked for it, its run and when; of an earlier look nothing stays."""
    actions = Actions("shown")
    actions.decided(decided("started", run_id="r1"), 1_000)
    show_actions(actions)
    actions.decided(challenged("promoted", 0.1, run_id="r1"), 2_500)
    show_actions(actions)
    assert shown()["atalaia_action_at_seconds"] == {
        ("started", "", "virtual", "r1"): 1,
        ("promoted", "2", "virtual", "r1"): 2.5,
    }
    assert shown()["atalaia_alert_action_at_seconds"] == {("a", "promoted"): 2.5}
    show_actions(Actions("shown"))
    assert "atalaia_action_at_seconds" not in shown()


def test_the_newest_look_at_a_promotion_is_shown() -> None:
    """Its verdict, the gain in its interval, rows, and what all looks so far have spent of the allowed error."""
    look = PromotionReviewed(
        model="shown", version="2", previous_version="1", as_of=1, look=3, rows=400, metric="accuracy", metrics={},
        gain=-0.03, low=-0.05, high=-0.01, confidence=0.99, verdict="rolled_back", reason="worse",
    )  # fmt: skip
    show_review(look, read_settings(review_confidence=0.95, review_rows=2000))
    seen = shown()
    assert seen["atalaia_review_info"] == {("2", "1", "rolled_back"): 1}
    assert seen["atalaia_review_gain"] == {("low",): -0.05, ("gain",): -0.03, ("high",): -0.01}
    assert seen["atalaia_review_rows"] == {("served",): 400, ("needed",): 2000}
    assert seen["atalaia_review_alpha"] == {
        ("spent",): pytest.approx(0.05 * 3 / 4),
        ("allowed",): pytest.approx(0.05),
    }
