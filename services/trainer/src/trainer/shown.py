"""Prometheus's view of the trainer's decisions and reviews; ``training-runs`` and ``promotion-reviews`` are the record."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.events import PromotionReviewed, TrainingDecided
from servicekit import metrics
from servicekit.config import Settings

from trainer.domain.actions import Actions
from trainer.domain.history import History
from trainer.domain.review import spent


def show_decision(decision: TrainingDecided) -> None:
    """The last decision; and the challenge, where one was held, which stays until the next."""
    words = (
        decision.model,
        decision.decision,
        decision.trigger or "",
        decision.champion_version,
        decision.challenger_version or "",
    )
    metrics.TRAINING_INFO.clear()
    metrics.TRAINING_INFO.labels(*words).set(1)
    metrics.TRAINING_ROWS.clear()
    for name, rows in decision.rows.items():
        metrics.TRAINING_ROWS.labels(decision.model, name).set(rows)
    if decision.gain is None or decision.p_value is None:
        return
    metrics.CHALLENGE_METRIC.clear()
    for role, figures in decision.metrics.items():
        for name, figure in figures.items():
            metrics.CHALLENGE_METRIC.labels(decision.model, role, name).set(figure)
    for gauge, figure in (
        (metrics.CHALLENGE_GAIN, decision.gain),
        (metrics.CHALLENGE_P_VALUE, decision.p_value),
    ):
        gauge.clear()
        gauge.labels(decision.model, decision.challenger_version or "").set(figure)
    _show_training(decision)


def show_history(decisions: Iterable[TrainingDecided]) -> None:
    """What a start finds on the topic, oldest first: the last word of each kind is what is shown."""
    for decision in decisions:
        show_decision(decision)


def show_actions(actions: Actions) -> None:
    """What was done about the model last, and when."""
    metrics.ACTION_AT.clear()
    for each in actions.newest:
        metrics.ACTION_AT.labels(actions.model, each.action, each.version, each.reason, each.run).set(
            each.at / 1000
        )
    metrics.ALERT_ACTION_AT.clear()
    for alert, each in actions.on_alerts:
        metrics.ALERT_ACTION_AT.labels(actions.model, alert, each.action).set(each.at / 1000)


def _show_training(decision: TrainingDecided) -> None:
    """How a challenger came about: the steps it took, and the selections of rows that were tried for it."""
    model = decision.model
    metrics.TRAINING_SECONDS.clear()
    for step, seconds in decision.seconds.items():
        metrics.TRAINING_SECONDS.labels(model, step).set(seconds)
    for gauge in (metrics.CANDIDATE_ROWS, metrics.CANDIDATE_METRIC, metrics.CANDIDATE_CHOSEN):
        gauge.clear()
    for name, tried in decision.candidates.items():
        metrics.CANDIDATE_ROWS.labels(model, name).set(tried.rows)
        metrics.CANDIDATE_CHOSEN.labels(model, name).set(name == decision.chosen)
        for metric, figure in tried.metrics.items():
            metrics.CANDIDATE_METRIC.labels(model, name, metric).set(figure)


def show_pending(history: History, shadow_rows: int | None, needed: int) -> None:
    """The run that is pending, if one is, and how far its shadow period is; ``shadow_rows``: None until they are counted."""
    metrics.PENDING_SINCE.clear()
    metrics.SHADOW_PERIOD.clear()
    run = history.pending()
    if run is None:
        return
    said_at = history.said_at(run.run_id)
    if said_at is not None:
        words = run.model, run.waits_for or "", run.challenger_version or ""
        metrics.PENDING_SINCE.labels(*words).set(said_at / 1000)
    if run.waits_for == "shadow":
        metrics.SHADOW_PERIOD.labels(run.model, "needed").set(needed)
        metrics.SHADOW_PERIOD.labels(run.model, "labelled").set(shadow_rows or 0)


def show_review(look: PromotionReviewed, settings: Settings) -> None:
    """The newest look at a promotion."""
    metrics.REVIEW_INFO.clear()
    metrics.REVIEW_INFO.labels(look.model, look.version, look.previous_version, look.verdict).set(1)
    for end, figure in (("low", look.low), ("gain", look.gain), ("high", look.high)):
        metrics.REVIEW_GAIN.labels(look.model, end).set(figure)
    for rows, count in (("served", look.rows), ("needed", settings.review_rows)):
        metrics.REVIEW_ROWS.labels(look.model, rows).set(count)
    confidence = settings.review_confidence
    for alpha, chance in (("spent", spent(look.look, confidence)), ("allowed", 1 - confidence)):
        metrics.REVIEW_ALPHA.labels(look.model, alpha).set(chance)
