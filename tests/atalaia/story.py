"""A small run, made up: two windows, one promotion, one refusal."""

from __future__ import annotations

from typing import Any

from atalaia.demo.story import Story
from contracts.events import (
    AlertChanged,
    FeatureDrift,
    FeatureShape,
    ModelChanged,
    OutcomesJoined,
    QualityReported,
    TrainingDecided,
    WindowTested,
)

HOUR = 3_600_000


def feature(effect: float, *, drifted: bool, categorical: bool = False) -> FeatureDrift:
    shape = (
        FeatureShape(kind="categorical", x=["EWR", "JFK"], reference=[0.5, 0.5], live=[0.2, 0.8])
        if categorical
        else FeatureShape(kind="numeric", x=[0.0, 1.0], reference=[0.5, 1.0], live=[0.1, 1.0])
    )
    return FeatureDrift(
        test="chi2" if categorical else "ks",
        statistic=effect,
        p_value=1e-20 if drifted else 0.5,
        p_adjusted=1e-19 if drifted else 0.6,
        effect=effect,
        effect_name="cramers_v" if categorical else "D",
        drifted=drifted,
        missing=0,
        psi=0.1,
        shape=shape,
    )


def window(
    end: int, version: str, *, drifted: bool, alert: str | None = None, rows: int = 10
) -> WindowTested:
    return WindowTested(
        model="m",
        version=version,
        window_start=(end - 1) * HOUR,
        window_end=end * HOUR,
        final=True,
        rows=rows,
        late_rows=0,
        status="drift" if drifted else "ok",
        state="drift" if drifted else "ok",
        alert_id=alert,
        alpha=0.01,
        correction="bh",
        min_effect=0.1,
        features={
            "temp": feature(0.5 if drifted else 0.05, drifted=drifted),
            "origin": feature(0.3, drifted=drifted, categorical=True),
            "prediction:late": feature(0.01, drifted=False),
        },
    )


def decision(kind: Any, reason: str, at: int) -> TrainingDecided:
    return TrainingDecided(
        run_id=f"run{at}",
        model="m",
        alert_id="a",
        as_of=at * HOUR,
        decision=kind,
        reason=reason,
        since=0,
        until=at * HOUR,
        rows={"labelled": 10},
        champion_version="1",
        challenger_version=None if kind == "started" else "7",
        metrics={},
        gain=0.1,
        p_value=0.01,
        mlflow_run_id=None,
        dvc_revision=None,
        data_sha256=None,
    )


def quality(end: int, version: str, log_loss: float, revision: int = 0) -> QualityReported:
    return QualityReported(
        model="m",
        version=version,
        window_start=(end - 1) * HOUR,
        window_end=end * HOUR,
        as_of=(end + revision) * HOUR,
        revision=revision,
        final=False,
        predicted=10,
        labelled=9,
        coverage=0.9,
        label_delay_mean=1.0,
        metrics={"log_loss": log_loss},
        confusion=None,
    )


def outcomes(version: str, start: int, n: int = 4, **changes: Any) -> OutcomesJoined:
    columns: dict[str, Any] = {
        "model": "m",
        "version": version,
        "prediction_id": [f"{version}{start}.{i}" for i in range(n)],
        "event_time": [start + i for i in range(n)],
        "label_time": [start + i + 5 for i in range(n)],
        "features": {"temp": [float(i) for i in range(n)]},
        "predictions": ["no"] * n,
        "probabilities": {"no": [0.8] * n, "yes": [0.2] * n},
        "truth": ["no", "yes"] * (n // 2),
        "corrected_from": [None] * n,
        "revision": [0] * n,
    }
    return OutcomesJoined(**(columns | changes))


def make_story(versions: tuple[str, str] = ("1", "7")) -> Story:
    """``versions`` are the registry's numbers of the two that served."""
    first, second = versions
    story = Story()
    story.models = [
        ModelChanged(
            model="m", version=v, previous_version=None, action=action, artifact_uri="u", sha256="s",
            effective_from=at, reason="r",
        )
        for v, action, at in ((first, "installed", 0), (second, "promoted", HOUR))
    ]  # fmt: skip
    story.drift = [window(1, first, drifted=True, alert="a"), window(2, second, drifted=False)]
    story.quality = [quality(1, first, 0.5), quality(1, first, 0.4, 1), quality(2, second, 0.3)]
    story.alerts = [
        AlertChanged(
            alert_id="a", model="m", version=first, kind="virtual", state="drift", previous="ok", since=0,
            window_start=0, window_end=HOUR, features=story.drift[0].features, offsets={}, reason="temp",
        )
    ]  # fmt: skip
    story.decisions = [
        decision("started", "so many rows", 1),
        decision("refused", "<worse>", 1),
        decision("promoted", "better", 2),
    ]
    story.outcomes.update(outcomes(first, 0))
    story.outcomes.update(outcomes(second, HOUR))
    return story
