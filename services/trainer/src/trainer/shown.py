"""Prometheus's view of the trainer's decisions; the topic ``training-runs`` is the record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args, get_type_hints

from contracts.events import TrainingDecided
from servicekit import metrics

DECISIONS: tuple[str, ...] = get_args(get_type_hints(TrainingDecided)["decision"])


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
    metrics.CHALLENGE_GAIN.labels(decision.model).set(decision.gain)
    metrics.CHALLENGE_P_VALUE.labels(decision.model).set(decision.p_value)


def show_history(decisions: Iterable[TrainingDecided]) -> None:
    """What a start finds on the topic, oldest first: the last word of each kind is what is shown."""
    for name in DECISIONS:  # of a counter that begins at 1 nobody sees that it grew
        metrics.TRAININGS.labels(name)
    for decision in decisions:
        show_decision(decision)
