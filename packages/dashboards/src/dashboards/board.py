"""A dashboard: rows of panels, each row a question, with the model as a variable and what was done as marks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

from dashboards.answers import NO_DEEDS, QUESTION, actions_at, answers, done_at
from dashboards.look import (
    ANY_IS_BAD,
    BLUE,
    GREEN,
    MARKS,
    MODEL,
    ORANGE,
    RED,
    SOURCE,
    YELLOW,
    Panel,
    Query,
    reworded,
    tile,
)

OF_THE_MODEL = f"and on (job, instance) atalaia_model_info{{{MODEL}}}"
TRAINED = f"and on (job, instance) atalaia_training_info{{{MODEL}}}"
# Marks stand where it was done: the values are when, in milliseconds. Without a trainer the predictors say what serves.
CHANGES = "installed|promoted|rolled_back"
ROLLED_BACK = {"rolled_back": "rolled back"}
CHANGED = reworded(done_at("max by (version, action)", f', action=~"{CHANGES}"'), "action", ROLLED_BACK)
STEPS = actions_at(f', action!~"{NO_DEEDS}|{CHANGES}"')
TRAINING = f"1000 * max by (action, version, run) ({STEPS})"
JOBS = ("predictor", "drift-monitor", "feedback", "trainer")


def board(
    uid: str,
    title: str,
    question: str,
    parts: Mapping[str, Sequence[Panel]],
    variables: Mapping[str, str] | None = None,
    closed: Collection[str] = (),
) -> dashboard.Dashboard:
    """``parts``: rows by title, the first of which answers ``question``; ``variables``: by name what Grafana asks.

    Before them comes the row that is the same on all: what is wrong now, since when, and what was done.
    ``closed``: rows that are opened by a click; until then Grafana asks nothing for them.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(f"{question} {MARKS}")
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
        _mark("Versions (blue)", BLUE, CHANGED, "version {{version}}", "{{action}}"),
        _mark("Trainings (orange)", ORANGE, TRAINING, "training: {{action}}", "version {{version}}"),
    ):
        made = made.annotation(mark)
    for row, panels in {f"{QUESTION} {MARKS}": answers(), **parts}.items():
        title_of = dashboard.Row(row)
        if row in closed:
            for panel in panels:
                title_of = title_of.with_panel(panel)
        made = made.with_row(title_of)
        for panel in panels if row not in closed else ():
            made = made.with_panel(panel)
    return made


def services(span: int) -> Panel:
    """Which of the four are up: one that Prometheus does not find is down too."""
    missing = " or ".join(f'label_replace(vector(0), "job", "{job}", "", "")' for job in JOBS)
    return tile(
        "Services up",
        "Green: all instances answer Prometheus. Yellow: some. Red: none, or none is found.",
        Query(f'avg by (job) (up{{job=~"{"|".join(JOBS)}"}}) or on (job) ({missing})', "{{job}}"),
        unit="none", steps=[(0, RED), (1e-9, YELLOW), (1, GREEN)], name=True, span=span,
    )  # fmt: skip


def spool_rows(span: int) -> Panel:
    """What Kafka has not yet."""
    return tile(
        "Spool",
        "Answered predictions on the predictors' disks that Kafka has not yet. More than 0: Kafka is away or slow.",
        Query(f"sum(atalaia_spool_rows {OF_THE_MODEL})"),
        unit="short", steps=ANY_IS_BAD, decimals=0, span=span,
    )  # fmt: skip


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


def _mark(name: str, colour: str, expr: str, title: str, text: str) -> dashboard.AnnotationQuery:
    target = prometheus.Dataquery().datasource(SOURCE).ref_id("Anno").expr(expr).range()
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .step("15s")
        .use_value_for_time(True)
        .title_format(title)
        .text_format(text)
        .target(target)
    )
