"""Events as topics tell them, for tests of what reads them: an hour a window, of model ``m``."""

from __future__ import annotations

from typing import Any

from contracts.events import (
    AlertChanged,
    CandidateTried,
    ChallengerReviewed,
    ConceptTested,
    FeatureDrift,
    FeatureShape,
    GuardrailSeen,
    ModelChanged,
    PromotionReviewed,
    QualityReported,
    TrainingDecided,
    WindowTested,
)

HOUR = 3_600_000
NUMBERS = FeatureShape(kind="numeric", x=[0.0, 1.0, 2.0], reference=[0.4, 0.7, 1.0], live=[0.1, 0.2, 1.0])
PORTS = FeatureShape(kind="categorical", x=["EWR", "JFK"], reference=[0.5, 0.5], live=[0.2, 0.8])


def feature(effect: float, *, drifted: bool, categorical: bool = False) -> FeatureDrift:
    """A test; its shape is there where it drifted, as the monitor has it."""
    return FeatureDrift(
        test="chi2" if categorical else "ks", statistic=effect, p_value=1e-20 if drifted else 0.5,
        p_adjusted=1e-19 if drifted else 0.6, effect=effect, effect_name="cramers_v" if categorical else "D",
        drifted=drifted, missing=0, psi=0.1, shape=(PORTS if categorical else NUMBERS) if drifted else None,
    )  # fmt: skip


def window(end: int, drifted: tuple[str, ...] = (), version: str = "1", **given: Any) -> WindowTested:
    """The window of the hour that ends at ``end``; ``temp``, ``origin`` and the prediction are watched."""
    names = ("temp", "origin", "prediction:late")
    features = {
        n: feature(0.5 if n in drifted else 0.05, drifted=n in drifted, categorical=n == "origin")
        for n in names
    }
    fields: dict[str, Any] = {
        "model": "m", "version": version, "window_start": (end - 1) * HOUR, "window_end": end * HOUR, "final": True,
        "rows": 500, "late_rows": 0, "status": "drift" if drifted else "ok", "state": "drift" if drifted else "ok",
        "alert_id": "a" if drifted else None, "alpha": 0.001, "correction": "bh", "min_effect": 0.1, "features": features,
        "p_value": 1e-19 if drifted else 0.6,
    }  # fmt: skip
    return WindowTested(**(fields | given))


def empty(end: int, version: str = "1", rows: int = 3) -> WindowTested:
    """A window of too few rows."""
    return window(end, version=version, rows=rows, status="insufficient data", features={})


def alert(
    state: Any, end: int, drifted: tuple[str, ...] = ("temp",), since: int = 2, **given: Any
) -> AlertChanged:
    """A change of alert ``a``."""
    features = (
        {n: feature(0.5, drifted=True, categorical=n == "origin") for n in drifted}
        if state == "drift"
        else {}
    )
    fields: dict[str, Any] = {
        "alert_id": "a", "model": "m", "version": "1", "kind": "virtual", "state": state,
        "previous": "ok" if state == "drift" else "drift", "since": since * HOUR, "window_start": (end - 1) * HOUR,
        "window_end": end * HOUR, "features": features, "offsets": {},
        "reason": "ok -> drift: temp (D 0.500, p 1e-19)" if state == "drift" else f"drift -> {state}: no feature drifted",
    }  # fmt: skip
    return AlertChanged(**(fields | given))


def decision(
    kind: Any, at: int, reason: str = "because", version: str | None = None, **given: Any
) -> TrainingDecided:
    """A decision on alert ``a``; each hour's is a run of its own."""
    fields: dict[str, Any] = {
        "run_id": f"run{at}", "model": "m", "alert_id": "a", "as_of": at * HOUR, "decision": kind, "reason": reason,
        "since": 2 * HOUR, "until": at * HOUR, "rows": {}, "champion_version": "1", "challenger_version": version,
        "metrics": {}, "gain": None, "p_value": None, "mlflow_run_id": None, "dvc_revision": None, "data_sha256": None,
    }  # fmt: skip
    return TrainingDecided(**(fields | given))


def change(
    version: str, at: int, action: Any = "promoted", previous: str | None = "1", **given: Any
) -> ModelChanged:
    """Who serves from hour ``at`` on."""
    fields: dict[str, Any] = {
        "model": "m", "version": version, "previous_version": previous, "action": action, "artifact_uri": "",
        "sha256": "", "effective_from": at * HOUR, "reason": "the first" if action == "installed" else "better",
    }  # fmt: skip
    return ModelChanged(**(fields | given))


def installed() -> ModelChanged:
    """Version 1 from the beginning."""
    return change("1", 0, "installed", None)


def quality(end: int, accuracy: float, estimate: float | None = None, **given: Any) -> QualityReported:
    """The quality of the hour that ends at ``end``."""
    fields: dict[str, Any] = {
        "model": "m", "version": "1", "window_start": (end - 1) * HOUR, "window_end": end * HOUR, "as_of": end * HOUR,
        "revision": 0, "final": False, "predicted": 500, "labelled": 450, "coverage": 0.9, "label_delay_mean": 1.0,
        "metrics": {"accuracy": accuracy}, "confusion": None, "intervals": {"accuracy": (accuracy - 0.03, accuracy + 0.03)},
        "estimated": {} if estimate is None else {"accuracy": estimate},
    }  # fmt: skip
    return QualityReported(**(fields | given))


def won(kind: Any, at: int, version: str = "2", **given: Any) -> TrainingDecided:
    """A decision on a run whose challenger has won, with all figures that a record bears; the run began at hour 4."""
    fields: dict[str, Any] = {
        "run_id": "run4", "rows": {"labelled": 400, "needed": 400, "train": 2_618, "holdout": 172}, "trigger": "real",
        "metrics": {"champion": {"log_loss": 0.98, "accuracy": 0.52}, "challenger": {"log_loss": 0.39, "accuracy": 0.92}},
        "gain": 0.4, "p_value": 0.0001, "chosen": "since the change", "duplicates": 3, "unlabelled": 120, "attempt": 1,
        "candidates": {
            "all": CandidateTried(rows=5_618, since=None, half_life_ms=None, metrics={"accuracy": 0.56}),
            "since the change": CandidateTried(rows=515, since=2 * HOUR, half_life_ms=None, metrics={"accuracy": 0.92}),
            "weighted by recency": CandidateTried(rows=5_618, since=None, half_life_ms=9 * HOUR, metrics={"accuracy": 0.61}),
        },
        "guardrails": {
            "recall of late": GuardrailSeen(seen=-0.04, limit=0.9, held=True),
            "latency": GuardrailSeen(seen=1.1, limit=5.0, held=True),
        },
        "classes": {"late": 101, "on time": 299}, "seconds": {"snapshot": 0.4, "train": 8.1},
        "mlflow_run_id": "f" * 32, "dvc_revision": "d" * 40,
    }  # fmt: skip
    reason = "better: accuracy 0.92 against the champion's 0.52 on 172 unseen rows (McNemar p = 0.0001)"
    return decision(kind, at, given.pop("reason", reason), version, **(fields | given))


def word(*, approved: bool = True, **given: Any) -> ChallengerReviewed:
    """Ana's word on the run that began at hour 4."""
    fields: dict[str, Any] = {
        "run_id": "run4", "model": "m", "version": "2", "approved": approved, "reason": "read it", "reviewed_by": "Ana",
    }  # fmt: skip
    return ChallengerReviewed(**(fields | given))


def look(at: int, verdict: Any = "undecided", number: int = 1, **given: Any) -> PromotionReviewed:
    """A look at version 2, which took the place of version 1."""
    begins = {"rolled_back": "worse", "kept": "not worse", "undecided": "undecided"}[verdict]
    gain = -0.1 if verdict == "rolled_back" else 0.1
    fields: dict[str, Any] = {
        "model": "m", "version": "2", "previous_version": "1", "as_of": at * HOUR, "look": number, "rows": 400,
        "metric": "accuracy", "metrics": {"promoted": {"accuracy": 0.6 + gain}, "predecessor": {"accuracy": 0.6}},
        "gain": gain, "low": gain - 0.05, "high": gain + 0.05, "confidence": 0.975, "verdict": verdict,
        "reason": f"{begins}: accuracy {0.6 + gain:.4f} against the predecessor's 0.6000 on 400 rows it has served (gain)",
    }  # fmt: skip
    return PromotionReviewed(**(fields | given))


def concept(at: int, **given: Any) -> ConceptTested:
    """The errors as of hour ``at``."""
    fields: dict[str, Any] = {
        "model": "m", "version": "1", "as_of": at * HOUR, "detector": "adwin", "rows": 450, "error": 0.2, "state": "ok",
        "alert_id": None, "since": None, "offsets": {},
    }  # fmt: skip
    return ConceptTested(**(fields | given))
