"""*Model and data quality*: what is wrong with the model now, since when, what was done; and how well does it do?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.board import board
from dashboards.look import (
    ANY_IS_BAD,
    BLUE,
    DRIFT_STATES,
    GREEN,
    MODEL,
    ONLY_SAID,
    PURPLE,
    QUALITY_STATES,
    RED,
    YELLOW,
    YES_NO,
    Column,
    Panel,
    Query,
    lines,
    or_none,
    reworded,
    rows,
    states,
    tile,
)

ALERT_STATES = DRIFT_STATES | {"2": ("alert", RED)}
KINDS = {"virtual": "inputs", "real": "model errors"}
LEAST_SHOWN = "1e-6"  # the axis is logarithmic, and has no 0


def state(kind: str) -> str:
    """The state of a kind of alert."""
    return f'max(atalaia_drift_state{{{MODEL}, kind="{kind}"}})'


def data_quality() -> Dashboard:
    """The dashboard."""
    of = f"{{{MODEL}}}"
    of_metric = f'{{{MODEL}, metric="$metric"}}'
    drifted = f"max by (feature) (atalaia_feature_drifted{of}) == 1"
    now: list[Panel] = [
        tile(
            "Inputs",
            "State of the virtual alert: do the inputs and predictions of the last window look as they did when the "
            "model was made?",
            Query(state("virtual")), unit="none", steps=[], words=DRIFT_STATES, empty="no window yet",
            span=4,
        ),
        tile(
            "Model errors",
            "State of the real alert: do the errors of labelled rows say that the same inputs mean something else?",
            Query(state("real")), unit="none", steps=[], words=DRIFT_STATES, empty="no labels yet",
            span=4,
        ),
        tile(
            "Quality",
            "State of the quality alert: are windows as good as the version's held-out rows were? Without "
            "ATALAIA_QUALITY_DROP it is not asked, and says ok.",
            Query(state("quality")), unit="none", steps=[], words=QUALITY_STATES, empty="no labels yet",
            span=4,
        ),
        tile(
            "Features that drifted",
            "Features, columns of the model's outputs included, that drifted in the last window.",
            Query(or_none(drifted, "feature", f"atalaia_feature_drifted{of}", unknown="none tested"), "{{feature}}"),
            unit="none", steps=ANY_IS_BAD, name=True, span=7,
        ),
        tile(
            "Last window (event time)",
            "When it ends: in a replay that is long ago.",
            Query(f"1000 * max(atalaia_window_end_seconds{of})"),
            unit="dateTimeAsIso", steps=ONLY_SAID, empty="no window yet", span=5,
        ),
    ]  # fmt: skip
    which: list[Panel] = [
        lines(
            "Quality, measured and estimated",
            "Measured: on what became known in the last window of label time. Estimated: what the calibrated "
            "probabilities of the last window of prediction time let expect.",
            [
                Query(f"max(atalaia_quality{of_metric})", "measured", BLUE),
                Query(f"max(atalaia_estimated_quality{of_metric})", "estimated", PURPLE, dashed=True),
            ],
            unit="none", steps=True,
        ),
        lines(
            "Effect sizes",
            "How large each change is: Kolmogorov-Smirnov's D, Cramer's V, or the difference of missing shares. Below "
            "the dashed line nothing is drift, however sure.",
            [
                Query(f"max by (feature) (atalaia_feature_effect{of})", "{{feature}}"),
                Query(f"max(atalaia_window_min_effect{of})", "least that counts, if sure", RED, dashed=True),
            ],
            unit="none", steps=True, at_least=0, usual=0.2,
        ),
        states(
            "Drift by feature",
            "Window after window: red while a feature drifts, green while it does not.",
            [Query(f"max by (feature) (atalaia_feature_drifted{of})", "{{feature}}")],
            YES_NO, height=12,
        ),
        rows(
            "The last window, feature by feature",
            "What was decided by, and the other distances of the same counts; the largest effect first. Red: what drifted, and "
            "a PSI of 0.25 and more, its rule of thumb. JS: Jensen-Shannon. windows: over how many it was tested.",
            {
                "drifted": Column(f"max by (feature) (atalaia_feature_drifted{of})", words=YES_NO),
                "p adjusted": Column(f"max by (feature) (atalaia_feature_p_adjusted{of})", "sci", 1),
                "effect": Column(f"max by (feature) (atalaia_feature_effect{of})", decimals=3),
                "PSI": Column(f"max by (feature) (atalaia_feature_psi{of})", decimals=3, bound=0.25),
                "JS": Column(f"max by (feature) (atalaia_feature_jensen_shannon{of})", decimals=3),
                "missing": Column(f"max by (feature) (atalaia_feature_missing_share{of})", "percentunit", 1),
                "windows": Column(f"max by (feature) (atalaia_feature_scale{of})", decimals=0),
            },
            "feature", worst="effect", height=12,
        ),
    ]  # fmt: skip
    since_when: list[Panel] = [
        states(
            "Drift state",
            "Of the alerts about inputs and outputs (virtual), about errors (real), and about quality that is worse than promised. One is "
            "open while its state is alert or recovered.",
            [Query(reworded(f"max by (kind) (atalaia_drift_state{of})", "kind", KINDS), "{{kind}}")],
            ALERT_STATES,
        ),
        lines(
            "p-values of features",
            "Of each feature the p-value that decides, corrected across features. Below alpha (dashed) it is "
            "significant; drift needs the effect too. Shown from 1e-6 on.",
            [
                Query(f"clamp_min(max by (feature) (atalaia_feature_p_adjusted{of}), {LEAST_SHOWN})", "{{feature}}"),
                Query(f"max(atalaia_window_alpha{of})", "alpha", RED, dashed=True),
            ],
            unit="sci", log=True, steps=True, at_most=1,
        ),
        lines(
            "p-value of the inputs",
            "The least of all features, scales and questions, corrected. Below alpha the window alarms, where "
            "an effect is large enough. Shown from 1e-6 on.",
            [
                Query(f"clamp_min(max(atalaia_window_p_value{of}), {LEAST_SHOWN})", "p-value", BLUE),
                Query(f"max(atalaia_window_alpha{of})", "alpha", RED, dashed=True),
            ],
            unit="sci", log=True, steps=True, at_most=1,
        ),
        lines(
            "Missing values",
            "Share of a window's rows without a value, by feature.",
            [Query(f"max by (feature) (atalaia_feature_missing_share{of})", "{{feature}}")],
            unit="percentunit", steps=True, at_least=0, usual=0.05,
        ),
    ]  # fmt: skip
    how_well: list[Panel] = [
        lines(
            "Mean error",
            "Of the rows that the last boundary labelled: what the detector of real drift is fed. 1 for a wrong class, "
            "or in the target's unit.",
            [Query(f"max(atalaia_error{of})", "mean error", BLUE)],
            unit="none", steps=True, at_least=0,
        ),
        rows(
            "All metrics",
            "Everything that is measured for the model's task, and of what can be estimated without labels the estimate.",
            {
                "measured": Column(f"max by (metric) (atalaia_quality{of})", decimals=3),
                "estimated": Column(f"max by (metric) (atalaia_estimated_quality{of})", decimals=3),
            },
            "metric",
        ),
        lines(
            "Labels",
            "Labelled share of the newest windows that have had time for their labels, going by how long earlier windows took; "
            "what is measured before a window is complete is of the early labels only.",
            [Query(f"max(atalaia_label_coverage{of})", "coverage", GREEN)],
            unit="percentunit", steps=True, at_least=0, at_most=1,
        ),
        lines(
            "Rows",
            "Rows of each window, and those that came too late for theirs.",
            [
                Query(f"max(atalaia_window_rows{of})", "in the window", BLUE),
                Query(f"max(atalaia_window_late_rows{of})", "too late", YELLOW),
            ],
            unit="short", steps=True, at_least=0,
        ),
    ]  # fmt: skip
    return board(
        "atalaia-data-quality",
        "Model and data quality",
        "Are inputs, errors and quality as they were when the model was made; which feature is not, since when?",
        {
            "Are inputs, errors and quality as they were when the model was made?": now,
            "How far from it, and in which feature?": which,
            "Since when? By the wall clock, as it was said": since_when,
            "How well does it do, and who says so?": how_well,
        },
        {"metric": f"label_values(atalaia_quality{of}, metric)"},
    )
