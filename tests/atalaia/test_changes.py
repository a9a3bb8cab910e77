"""Alerts in words."""

from __future__ import annotations

import pytest
from atalaia.demo.changes import describe, outcome
from contracts.events import FeatureDrift, FeatureShape, TrainingDecided


def feature(shape: FeatureShape | None, by: str = "anderson_darling") -> FeatureDrift:
    """A drifted feature."""
    return FeatureDrift(
        test="ks", statistic=0.4, p_value=0.0, p_adjusted=0.0, effect=0.25, effect_name="D", drifted=True,
        missing=0, psi=1.0, shape=shape, by=by,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "by", "said"),
    [
        (FeatureShape("numeric", [1.0, 2.0, 3.0], [0.5, 0.9, 1.0], [0.1, 0.3, 0.9]), "", "median 1 → 3"),
        (FeatureShape("numeric", [1.0, 2.0], [0.6, 1.0], [0.1, 0.2]), "", "median 1 → above 2"),
        (FeatureShape("categorical", ["UA", "EV"], [0.5, 0.5], [0.45, 0.2]), "chi2", "EV: 50% → 20%"),
        (None, "missing", "missing: the share moved by 25%"),
        (None, "", "D 0.25"),
    ],
)
def test_a_change_is_told_by_where_the_values_went(shape: FeatureShape | None, by: str, said: str) -> None:
    """Medians of numbers, the share that moved most, missing values, and at the least the effect."""
    assert describe(feature(shape, by)) == said


def decided(*decisions: str) -> list[TrainingDecided]:
    """Decisions about alert A, in order."""
    return [
        TrainingDecided(
            run_id=str(i), model="m", alert_id="A", as_of=i, decision=d, reason="r", since=0, until=None, rows={},  # type: ignore[arg-type]
            champion_version="1", challenger_version="2", metrics={}, gain=0.01, p_value=0.0, mlflow_run_id=None,
            dvc_revision=None, data_sha256=None,
        )
        for i, d in enumerate(decisions)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("decisions", "said"),
    [
        ((), "no training"),
        (("waiting",), "waits for labelled rows"),
        (("started", "refused", "started", "refused"), "refused 2 times"),
        (("waiting", "started", "promoted"), "version 2 promoted (gain +0.0100)"),
        (("refused", "promoted"), "refused once, then version 2 promoted (gain +0.0100)"),
    ],
)
def test_an_alert_s_outcome_is_what_the_trainer_decided(decisions: tuple[str, ...], said: str) -> None:
    """Refusals are counted, a promotion ends the tale, other alerts' decisions are not its own."""
    assert outcome("A", decided(*decisions)) == said
    assert outcome("B", decided(*decisions)) == "no training"
