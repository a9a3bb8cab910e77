"""What people read of the trainer's decisions is at ``/metrics``, and nothing of an earlier one."""

from __future__ import annotations

from typing import Any

from contracts.events import TrainingDecided
from prometheus_client import REGISTRY
from trainer.shown import show_decision, show_history


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
    assert seen["atalaia_challenge_gain"] == {(): -0.1}
    assert seen["atalaia_challenge_p_value"] == {(): 0.25}
    show_decision(challenged("promoted", 0.2))
    assert shown()["atalaia_challenge_gain"] == {(): 0.2}
    assert shown()["atalaia_training_info"] == {("promoted", "virtual", "1", "2"): 1}


def test_a_restart_shows_what_the_topic_has() -> None:
    """Of the decisions read back the last is shown, and the last challenge among them."""
    show_history([challenged("promoted", 0.3), decided("failed", trigger=None)])
    assert shown()["atalaia_training_info"] == {("failed", "", "1", ""): 1}
    assert shown()["atalaia_challenge_gain"] == {(): 0.3}


def test_every_decision_is_counted_from_0_on() -> None:
    """Prometheus sees the first of a kind grow from 0; one that began at 1 would not have grown."""
    show_history([])
    for decision in ("started", "waiting", "refused", "promoted", "failed"):
        assert REGISTRY.get_sample_value("atalaia_trainings_total", {"decision": decision}) is not None
