"""What people read of a window and of a boundary is at ``/metrics``, and nothing of an earlier one."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from contracts.events import ConceptTested, FeatureDrift, WindowTested
from drift_monitor.shown import STATES, show_concept, show_window
from prometheus_client import REGISTRY, generate_latest

MODELS = (f"shown-{n}" for n in itertools.count())
NO_NUMBERS = (str, bool, dict, type(None))


def feature(start: float, **given: Any) -> FeatureDrift:
    """Each number is another one."""
    numbers = {"statistic": 0.01, "p_value": 0.02, "p_adjusted": 0.03, "effect": 0.04, "psi": 0.05}
    return FeatureDrift(
        **{
            **{name: start + value for name, value in numbers.items()},
            "test": "ks", "effect_name": "D", "drifted": True, "missing": 7, "by": "anderson_darling", "scale": 2,
            "jensen_shannon": start + 0.06, "wasserstein": start + 0.07, **given,
        }
    )  # fmt: skip


def window(model: str, features: dict[str, FeatureDrift], **given: Any) -> WindowTested:
    """A window with drift."""
    return WindowTested(
        **{
            "model": model, "version": "3", "window_start": 1_700_000_001_000, "window_end": 1_700_000_002_000,
            "final": True, "rows": 70, "late_rows": 11, "status": "drift", "state": "drift", "alert_id": "a1",
            "alpha": 0.0011, "correction": "bh", "min_effect": 0.0512, "p_value": 0.000123, "question": "joint",
            "scale": 4, "features": features, **given,
        }
    )  # fmt: skip


def boundary(model: str, **given: Any) -> ConceptTested:
    """A boundary with a real alert."""
    return ConceptTested(
        **{
            "model": model, "version": "3", "as_of": 1_700_000_002_000, "detector": "adwin", "rows": 321,
            "error": 0.31, "state": "drift", "alert_id": "r1", "since": 1_700_000_001_000, "offsets": {"0": 5},
            **given,
        }
    )  # fmt: skip


def shown(model: str) -> dict[str, dict[tuple[str, ...], float]]:
    """``{metric: {other labels: value}}`` of a model, as a scrape has them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if sample.labels.get("model") == model:
                labels = tuple(value for name, value in sample.labels.items() if name != "model")
                found.setdefault(sample.name, {})[labels] = sample.value
    return found


def numbers(event: msgspec.Struct) -> dict[str, float]:
    """The numeric fields of an event; of times the seconds."""
    found = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if not isinstance(value, NO_NUMBERS) and not isinstance(value, msgspec.Struct):
            found[name] = value / 1000 if value > 1e11 else value
    return found


@pytest.fixture
def model() -> str:
    """A model that no other test shows."""
    return next(MODELS)


def test_every_number_of_a_window_is_shown(model: str) -> None:
    """Each numeric field of WindowTested has a metric with just its value, so none can be left out."""
    report = window(model, {"x": feature(0)})
    show_window(report)
    values = {value for series in shown(model).values() for value in series.values()}
    assert set(numbers(report)) >= {
        "alpha",
        "min_effect",
        "p_value",
        "rows",
        "late_rows",
        "scale",
        "window_end",
    }
    assert {n: v for n, v in numbers(report).items() if v not in values} == {}
    assert shown(model)["atalaia_drift_state"] == {("virtual",): STATES["drift"]}


def test_every_number_of_a_feature_is_shown(model: str) -> None:
    """Each numeric field of FeatureDrift is a series of the feature's, and so are drifted and the share missing."""
    features = {"x": feature(0.1), "y": feature(0.3, missing=14)}
    show_window(window(model, features))
    seen = shown(model)
    for name, drift in features.items():
        values = {series[name,] for series in seen.values() if (name,) in series}
        assert set(numbers(drift)) >= {"statistic", "p_value", "p_adjusted", "effect", "psi", "wasserstein"}
        assert {n: v for n, v in numbers(drift).items() if v not in values} == {}
    assert seen["atalaia_feature_drifted"] == {("x",): 1, ("y",): 1}
    assert seen["atalaia_feature_missing_share"] == {("x",): 0.1, ("y",): 0.2}


def test_every_number_of_a_boundary_is_shown(model: str) -> None:
    """Each numeric field of ConceptTested has a metric with just its value, and so have both states."""
    report = boundary(
        model, quality_alert_id="q1", quality_state="recovered", quality_since=1_700_000_000_500
    )
    show_concept(report)
    values = {value for series in shown(model).values() for value in series.values()}
    assert set(numbers(report)) == {"as_of", "rows", "error", "since", "quality_since"}
    assert {n: v for n, v in numbers(report).items() if v not in values} == {}
    assert shown(model)["atalaia_drift_state"] == {
        ("real",): STATES["drift"],
        ("quality",): STATES["recovered"],
    }


def test_words_are_labels_of_one_series(model: str) -> None:
    """Version, status, question, correction, reference, test and detector stand in one series each."""
    show_window(window(model, {"x": feature(0)}, reference="r"))
    show_concept(boundary(model))
    seen = shown(model)
    assert seen["atalaia_window_info"] == {("3", "drift", "joint", "bh", "r"): 1}
    assert seen["atalaia_feature_info"] == {("x", "ks", "anderson_darling", "D"): 1}
    assert seen["atalaia_concept_info"] == {("3", "adwin"): 1}


def test_another_versions_features_take_the_place_of_the_old_ones(model: str) -> None:
    """A feature that the next window has not is not shown with what it was; a distance that it lacks neither."""
    show_window(window(model, {"gone": feature(0.1), "kept": feature(0.3)}))
    show_window(window(model, {"kept": feature(0.5, wasserstein=None), "new": feature(0.7)}, version="4"))
    seen = shown(model)
    assert seen["atalaia_feature_statistic"] == {("kept",): 0.51, ("new",): 0.71}
    assert seen["atalaia_feature_wasserstein"] == {("new",): 0.77}
    assert not any("gone" in labels for series in seen.values() for labels in series)


def test_a_window_of_too_few_rows_shows_no_test(model: str) -> None:
    """Of insufficient data rows and thresholds are shown, and no p-value, scale or feature of the window before."""
    show_window(window(model, {"x": feature(0)}))
    show_window(window(model, {}, status="insufficient data", rows=3, p_value=1.0, scale=1))
    seen = shown(model)
    assert seen["atalaia_window_rows"] == {(): 3}
    assert not any(name.startswith("atalaia_feature") for name in seen)
    assert {"atalaia_window_p_value", "atalaia_window_scale"}.isdisjoint(seen)
    assert [labels[1] for labels in seen["atalaia_window_info"]] == ["insufficient data"]


def test_an_alert_is_shown_while_it_is_open(model: str) -> None:
    """Each kind's alert comes and goes by itself."""
    show_window(window(model, {}), since=1_700_000_000_250)
    show_concept(boundary(model))
    assert set(shown(model)["atalaia_alert_open"]) == {("virtual", "a1"), ("real", "r1")}
    assert shown(model)["atalaia_alert_since_seconds"] == {
        ("virtual",): 1_700_000_000.25,
        ("real",): 1_700_000_001,
    }
    show_window(window(model, {}, state="ok", alert_id=None))
    assert set(shown(model)["atalaia_alert_open"]) == {("real", "r1")}
    show_concept(boundary(model, state="ok", alert_id=None, since=None, error=None))
    seen = shown(model)
    assert {"atalaia_alert_open", "atalaia_alert_since_seconds", "atalaia_error"}.isdisjoint(seen)


def test_series_do_not_add_up_over_versions_and_alerts(model: str) -> None:
    """A hundred windows of as many versions, alerts and features leave no more series than one; so do boundaries."""
    show_window(window(model, {"f": feature(0)}))
    show_concept(boundary(model))
    once = sum(map(len, shown(model).values()))
    for n in range(100):
        at = {"version": str(n), "alert_id": f"a{n}"}
        show_window(window(model, {f"f{n}": feature(0)}, reference=f"r{n}", **at))
        show_concept(boundary(model, **at))
    assert sum(map(len, shown(model).values())) == once


def test_models_do_not_disturb_each_other(model: str) -> None:
    """What one model shows, another one's window leaves alone; a scrape can be written."""
    other = next(MODELS)
    show_window(window(model, {"x": feature(0)}))
    before = shown(model)
    show_window(window(other, {"y": feature(0)}))
    show_window(window(other, {}, status="insufficient data"))
    assert shown(model) == before
    assert model in generate_latest().decode()
