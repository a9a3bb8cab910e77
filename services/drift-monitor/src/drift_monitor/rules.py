"""The rule that settings state."""

from __future__ import annotations

from servicekit.budget import alpha_of
from servicekit.config import Settings

from drift_monitor.domain.decision import Rule
from drift_monitor.domain.quality import QualityRule


def rule_of(settings: Settings, step: int) -> Rule:
    """When windows that start ``step`` milliseconds apart have drifted; raises ``ValueError``."""
    return Rule(
        alpha=alpha_of(settings.false_alarms, step),
        correction=settings.correction,
        min_effect=settings.min_effect,
        min_rows=settings.min_rows,
        alert_windows=settings.alert_windows,
        recovered_windows=settings.recovered_windows,
        scales=settings.window_scales,
        max_widening=settings.max_widening,
        window_rows=settings.window_rows,
    )


def quality_rule_of(settings: Settings, step: int) -> QualityRule | None:
    """When quality has fallen, of windows ``step`` milliseconds apart; None: nobody asks. Raises ``ValueError``."""
    if not settings.quality_drop:
        return None
    return QualityRule(
        metric=settings.quality_metric,
        drop=settings.quality_drop,
        complete=settings.label_complete,
        alpha=alpha_of(settings.false_alarms, step),
        alert_windows=settings.alert_windows,
        recovered_windows=settings.recovered_windows,
    )
