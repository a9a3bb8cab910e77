"""A dashboard: rows of panels, each row a question, with the model as a variable and what was done as marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

from dashboards.look import BLUE, ORANGE, SOURCE, Panel

MODEL = 'model="$model"'
OF_THE_MODEL = f"and on (job, instance) atalaia_model_info{{{MODEL}}}"
TRAINED = f"and on (job, instance) atalaia_training_info{{{MODEL}}}"
# Where the value is a time, the mark stands at it: no matter how far apart the points of the range are.
TAKEN_UP = (
    f"1000 * max by (version, action) (atalaia_model_since_seconds{{{MODEL}}} "
    f"* on (job, instance, model) group_right () (atalaia_model_info{{{MODEL}}} ^ 0))"
)
DECIDED = f'sum by (decision) (increase(atalaia_trainings_total{{decision!="waiting"}}[1m]) {TRAINED}) > 0'


def board(
    uid: str,
    title: str,
    question: str,
    parts: Mapping[str, Sequence[Panel]],
    variables: Mapping[str, str] | None = None,
) -> dashboard.Dashboard:
    """``parts``: rows by title, the first of which answers ``question``; ``variables``: by name what Grafana asks."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags(["atalaia"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("15s")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Atalaia")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["atalaia"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    asked = {"model": 'label_values({__name__=~"atalaia_(model|window)_info"}, model)', **(variables or {})}
    for name, query in asked.items():
        made = made.with_variable(_variable(name, query))
    for mark in (
        _mark("Versions", BLUE, TAKEN_UP, "version {{version}}", "{{action}}, serves", at_value=True),
        _mark("Trainings", ORANGE, DECIDED, "training {{decision}}", "a decision of the trainer"),
    ):
        made = made.annotation(mark)
    for row, panels in parts.items():
        made = made.with_row(dashboard.Row(row))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .hide(VariableHide.DONT_HIDE)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _mark(
    name: str, colour: str, expr: str, title: str, text: str, *, at_value: bool = False
) -> dashboard.AnnotationQuery:
    target = prometheus.Dataquery().datasource(SOURCE).ref_id("Anno").expr(expr).range()
    made = (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .step("15s")
        .title_format(title)
        .text_format(text)
        .target(target)
    )
    return made.use_value_for_time(True) if at_value else made
