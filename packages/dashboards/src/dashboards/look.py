"""What all dashboards share: colours with one meaning each, thresholds, and how a kind of panel looks.

A colour says the same everywhere: green is well, yellow is on the way or to know, red needs somebody; blue is what serves or was
measured, orange the challenger, purple an estimate, grey a threshold, what is only counted, and what nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as dashboard_models
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

MODEL = 'model="$model"'
NOBODY_KNOWS = " or on () label_replace(vector(-1)"  # where what :func:`named` adds begins
GREEN, YELLOW, RED = "#73BF69", "#F2CC0C", "#F2495C"
BLUE, ORANGE, PURPLE, GREY = "#5794F2", "#FF9830", "#B877D9", "#8E8E8E"

SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
DRIFT_STATES = {"0": ("ok", GREEN), "1": ("warning", YELLOW), "2": ("drift", RED), "3": ("recovered", BLUE)}
QUALITY_STATES = {
    "0": ("ok", GREEN),
    "1": ("falling", YELLOW),
    "2": ("fallen", RED),
    "3": ("recovered", BLUE),
}
NUMBERED = {"(.+)": "version $1"}
YES_NO = {"0": ("no", GREEN), "1": ("yes", RED)}
SERVES = {"1": ("serves", BLUE), "2": ("serves again after a rollback", YELLOW)}
Steps = Sequence[tuple[float, str]]  # below the first is grey, and so is what has no value
ANY_IS_BAD: Steps = [(0, GREEN), (1e-9, RED)]
ANY_WAITS: Steps = [(1e-9, YELLOW)]
ONLY_SAID: Steps = [(0, BLUE)]
SAID_OR_BACK: Steps = [(0, BLUE), (2, YELLOW)]
Words = Mapping[str, tuple[str, str]]
Panel = Builder[dashboard_models.Panel]


def instead(expr: str, value: str, label: str, word: str) -> str:
    """The series of an expression, or where it has none one of a value, whose label is a word."""
    return f'{expr} or on () label_replace({value}, "{label}", "{word}", "", "")'


def named(expr: str, label: str, word: str = "none") -> str:
    """The series of an expression, or where it has none one whose label is a word; it is negative, so that it is grey.

    A tile that shows names stays empty without a series.

    >>> named("max by (x) (a)", "x")
    'max by (x) (a) or on () label_replace(vector(-1), "x", "none", "", "")'
    """
    return instead(expr, "vector(-1)", label, word)


def or_none(expr: str, label: str, speaks: str, word: str = "none", unknown: str = "not known") -> str:
    """The series of an expression, or one of 0, but only while ``speaks`` has series: else nobody knows whether none is right."""
    return named(instead(expr, f"0 * max({speaks})", label, word), label, unknown)


def reworded(expr: str, label: str, words: Mapping[str, str]) -> str:
    """An expression with values of a label, each a whole one or a pattern of it, written as a reader would say them.

    >>> reworded("a", "x", {"rolled_back": "rolled back"})
    'label_replace(a, "x", "rolled back", "x", "rolled_back")'
    """
    for value, word in words.items():
        expr = f'label_replace({expr}, "{label}", "{word}", "{label}", "{value}")'
    return expr


def is_up(*jobs: str) -> str:
    """Has series while one of these services answers Prometheus."""
    return f'up{{job=~"{"|".join(jobs)}"}} == 1'


MARKS = "Blue marks: a version came or went. Orange marks: steps of a training."


class Bound(NamedTuple):
    """Where an alert is, and how the legend names it."""

    at: float
    legend: str


class Query(NamedTuple):
    """PromQL, how its series are called, and the colour where one series of it has a meaning."""

    expr: str
    legend: str = "__auto"
    colour: str | None = None
    dashed: bool = False


def tile(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Steps,
    words: Words | None = None,
    name: bool = False,
    with_name: bool = False,
    empty: str = "–",
    decimals: int | None = None,
    span: int = 4,
) -> stat.Panel:
    """One number, or with ``name`` the word of a label, coloured by thresholds; ``empty``, in grey, where there is none.

    ``with_name``: the number and what it is of.
    """
    text = models.BigValueTextMode
    painted = [*steps, *(words or {}).values()]
    judged = any(colour in (GREEN, YELLOW, RED) for _, colour in painted)
    panel = (
        _stat(title, description, span, loud=judged)
        .unit(unit)
        .no_value(empty)
        .thresholds(_thresholds(steps))
        .text_mode(text.NAME if name else text.VALUE_AND_NAME if with_name else text.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(query, "A").instant())
    )
    if words:
        panel = panel.mappings(_mappings(words))
    if with_name:
        panel = panel.wide_layout(False)  # beside a time with its date there is no room
        panel = panel.text(common.VizTextDisplayOptions().title_size(14).value_size(22))
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    span: int = 12,
    height: int = 8,
    log: bool = False,
    stacked: bool = False,
    steps: bool = False,
    colours: Mapping[str, str] | None = None,
    empty: str = "nothing yet",
    at_least: float | None = None,
    at_most: float | None = None,
    usual: float | None = None,
    bound: Bound | None = None,
    by_name: bool = False,
    decimals: int | None = None,
) -> timeseries.Panel:
    """Series over time. ``colours``: of series by a pattern of the whole name; ``steps``: values that hold until the next.

    ``usual``: how far the axis reaches at least; ``bound``: a dashed red line while the first query
    has values. ``by_name``: a series has the same colour on each panel. The description ends with what marks mean.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(f"{description} {MARKS}")
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .unit(unit)
        .no_value(empty)
        .line_width(0 if stacked else 2)  # else what is 0 draws a line on the one below
        .fill_opacity(70 if stacked else 0)
        .show_points(models.VisibilityMode.NEVER)
        .span_nulls(False)
        .line_interpolation(models.LineInterpolation.STEP_AFTER if steps else models.LineInterpolation.LINEAR)
        .tooltip(
            common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if log:
        scale = common.ScaleDistributionConfig().type(models.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
    if at_least is not None:
        panel = panel.min(at_least)
    if at_most is not None:
        panel = panel.max(at_most)
    if usual is not None:
        panel = panel.axis_soft_max(usual)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if bound is not None:
        # A query, for a threshold has no name in the legend; x ^ 0 is 1, of NaN too.
        line = Query(f"{bound.at:g} * max({queries[0].expr}) ^ 0", bound.legend, RED, dashed=True)
        queries = [*queries, line]
    if by_name:
        panel = panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(query, letter).range())
        if query.colour:
            panel = panel.override_by_query(letter, _painted(query.colour, query.dashed))
    for pattern, colour in (colours or {}).items():
        panel = panel.override_by_regexp(pattern, _painted(colour))
    return panel


def on_the_right(panel: timeseries.Panel, letter: str) -> timeseries.Panel:
    """A panel with a query's series on an axis of their own."""
    return panel.override_by_query(letter, [DynamicConfigValue("custom.axisPlacement", "right")])


def states(
    title: str, description: str, queries: Sequence[Query], words: Words, *, span: int = 12, height: int = 8
) -> statetimeline.Panel:
    """What held when: a bar a series, in words and colours."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .no_value("nothing yet")
        .show_value(models.VisibilityMode.NEVER)
        .merge_values(True)
        .fill_opacity(80)
        .line_width(0)
        .mappings(_mappings(words))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds([]))
        .legend(
            common.VizLegendOptions()
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(query, letter).range())
    return panel


class Column(NamedTuple):
    """PromQL of a table's column, and how it is written; ``bound``: from it on, red."""

    expr: str
    unit: str = "none"
    decimals: int | None = None
    words: Words | None = None
    bound: float | None = None


def rows(
    title: str,
    description: str,
    columns: Mapping[str, Column],
    by: str,
    *,
    worst: str = "",
    span: int = 12,
    height: int = 8,
) -> table.Panel:
    """A row for each value of the label ``by``, a column for each of ``columns``, as of now; ``worst``: largest of it first."""
    panel = _table(title, description, span, height).min_width(60)
    panel = panel.override_by_name(by, [DynamicConfigValue("custom.width", 150)])
    renamed: dict[str, str] = {}
    for letter, (name, column) in zip("ABCDEFGH", columns.items(), strict=False):
        target = _target(Query(column.expr), letter).instant().format(PromQueryFormat.TABLE)
        panel = panel.with_target(target).override_by_name(name, _written(column))
        renamed[f"Value #{letter}"] = name
    excluded = {"Time": True}
    order = {by: 0, **{value: n for n, value in enumerate(renamed, 1)}}
    return panel.transformations(
        [
            DataTransformerConfig("merge", options={}),
            DataTransformerConfig(
                "organize",
                options={"excludeByName": excluded, "renameByName": renamed, "indexByName": order},
            ),
            DataTransformerConfig(
                "sortBy", options={"fields": {}, "sort": [{"field": worst or by, "desc": bool(worst)}]}
            ),
        ]
    )


class Cell(NamedTuple):
    """How a label, or the value, is written in a table of sentences, or in a headline, where ``width`` is not asked.

    The colours of ``words`` are the text's, or where it is ``loud`` the background's; of words without a colour the usual ones.
    """

    name: str
    words: Words | None = None
    width: int | None = None
    unit: str = "none"
    loud: bool = False


def sentences(
    title: str,
    description: str,
    expr: str,
    cells: Mapping[str, Cell],
    *,
    beside: str = "",
    by: str,
    down: bool = False,
    hidden: Sequence[str] = (),
    span: int = 12,
    height: int = 8,
) -> table.Panel:
    """A row for each series, as of now, its labels but the ``hidden`` and its value (``Value``) as cells in order.

    ``beside``: an expression that has another value of the same labels; then the two are ``Value #A`` and ``Value #B``.
    Sorted by the cell ``by``; those that have the same stay as Prometheus has them.
    """
    panel = (
        _table(title, description, span, height)
        .cell_height(models.TableCellHeight.SM)
        .no_value("–")
        .with_target(_target(Query(expr), "A").instant().format(PromQueryFormat.TABLE))
    )
    if beside:
        panel = panel.with_target(_target(Query(beside), "B").instant().format(PromQueryFormat.TABLE))
    for cell in cells.values():
        panel = panel.override_by_name(cell.name, _worded(cell))
    return panel.transformations(
        [
            *([DataTransformerConfig("merge", options={})] if beside else []),
            _organized(cells, hidden),
            DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": by, "desc": down}]}),
        ]
    )


def headline(
    title: str,
    description: str,
    expr: str,
    cells: Mapping[str, Cell],
    *,
    span: int,
) -> stat.Panel:
    """A sentence as large as a tile: of each series the ``cells`` side by side, as words; where one has no colour it is blue."""
    panel = (
        _stat(title, description, span, loud=any(cell.loud for cell in cells.values()))
        .unit("none")
        .no_value("–")
        .thresholds(_thresholds([]))
        .text_mode(models.BigValueTextMode.VALUE)
        .reduce_options(
            common.ReduceDataOptions()
            .values(True)
            .fields(f"/^({'|'.join(cell.name for cell in cells.values())})$/")
        )
        .with_target(_target(Query(expr), "A").instant().format(PromQueryFormat.TABLE))
        .transformations([_organized(cells)])
    )
    for cell in cells.values():
        panel = panel.override_by_name(
            cell.name, [*_written_out(cell), *([] if _judges(cell) else _painted(BLUE))]
        )
    return panel


def _organized(cells: Mapping[str, Cell], hidden: Sequence[str] = ()) -> DataTransformerConfig:
    return DataTransformerConfig(
        "organize",
        options={
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "renameByName": {label: cell.name for label, cell in cells.items()},
            "indexByName": {label: place for place, label in enumerate(cells)},
        },
    )


def _stat(title: str, description: str, span: int, *, loud: bool) -> stat.Panel:
    mode = models.BigValueColorMode
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(3)
        .color_mode(mode.BACKGROUND if loud else mode.VALUE)
        .graph_mode(models.BigValueGraphMode.NONE)
    )


def _table(title: str, description: str, span: int, height: int) -> table.Panel:
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .no_value("nothing yet")
    )


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().datasource(SOURCE).ref_id(letter).expr(query.expr).legend_format(query.legend)
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(None, GREY), *(Threshold(at, colour) for at, colour in steps)])
    )


def _mappings(words: Words) -> list[ValueMapping]:
    options = {
        value: ValueMappingResult(text=text, color=colour or None, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [ValueMap(options=options)]


def _written(column: Column) -> list[DynamicConfigValue]:
    written = [DynamicConfigValue("unit", column.unit), DynamicConfigValue("noValue", "–")]
    if column.decimals is not None:
        written.append(DynamicConfigValue("decimals", column.decimals))
    if column.words:
        written.append(DynamicConfigValue("mappings", _mappings(column.words)))
    if column.bound is not None:
        written.append(DynamicConfigValue("thresholds", _thresholds([(column.bound, RED)]).build()))
    if column.words or column.bound is not None:
        written.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return written


def _worded(cell: Cell) -> list[DynamicConfigValue]:
    written = _written_out(cell)
    if cell.width is not None:
        written.append(DynamicConfigValue("custom.width", cell.width))
    if _judges(cell):
        written.append(DynamicConfigValue("thresholds", _thresholds([]).build()))
        written.append(
            DynamicConfigValue(
                "custom.cellOptions", {"type": "color-background" if cell.loud else "color-text"}
            )
        )
    return written


def _written_out(cell: Cell) -> list[DynamicConfigValue]:
    written = [DynamicConfigValue("unit", cell.unit)]
    if cell.words:
        written.append(DynamicConfigValue("mappings", _mappings(cell.words)))
    return written


def _judges(cell: Cell) -> bool:
    return any(colour for _, colour in (cell.words or {}).values())


def _painted(colour: str, dashed: bool = False) -> list[DynamicConfigValue]:
    painted = [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
    if dashed:
        painted.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
    return painted
