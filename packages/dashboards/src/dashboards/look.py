"""What all dashboards share: colours with one meaning each, thresholds, and how a kind of panel looks.

A colour says the same everywhere: green is well, yellow is on the way, red needs somebody; blue is what serves or was
measured, orange the challenger, purple an estimate, grey a threshold or what is only counted.
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

GREEN, YELLOW, RED = "#73BF69", "#F2CC0C", "#F2495C"
BLUE, ORANGE, PURPLE, GREY = "#5794F2", "#FF9830", "#B877D9", "#8E8E8E"

SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
DRIFT_STATES = {"0": ("ok", GREEN), "1": ("warning", YELLOW), "2": ("drift", RED), "3": ("recovered", BLUE)}
YES_NO = {"0": ("no", GREEN), "1": ("yes", RED)}
Steps = Sequence[tuple[float | None, str]]
ANY_IS_BAD: Steps = [(None, GREEN), (1e-9, RED)]
ANY_WAITS: Steps = [(None, GREEN), (1e-9, YELLOW)]
ONLY_SAID: Steps = [(None, BLUE)]
Words = Mapping[str, tuple[str, str]]
Panel = Builder[dashboard_models.Panel]


def or_none(expr: str, label: str, word: str = "none") -> str:
    """The series of an expression, or where it has none one of 0, whose label says so."""
    return f'{expr} or on () label_replace(vector(0), "{label}", "{word}", "", "")'


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
    empty: str = "–",
    decimals: int | None = None,
    span: int = 4,
) -> stat.Panel:
    """One number, or with ``name`` the word of a label, coloured by thresholds; ``empty`` stands where there is none."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(4)
        .unit(unit)
        .no_value(empty)
        .thresholds(_thresholds(steps))
        .color_mode(
            models.BigValueColorMode.BACKGROUND if len(steps) > 1 or words else models.BigValueColorMode.VALUE
        )
        .graph_mode(models.BigValueGraphMode.NONE)
        .text_mode(models.BigValueTextMode.NAME if name else models.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(query, "A").instant())
    )
    if words:
        panel = panel.mappings(_mappings(words))
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
) -> timeseries.Panel:
    """Series over time. ``colours``: of series by a pattern of their name; ``steps``: values that hold until the next."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .unit(unit)
        .no_value(empty)
        .line_width(1 if stacked else 2)
        .fill_opacity(50 if stacked else 0)
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
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(query, letter).range())
        if query.colour:
            panel = panel.override_by_query(letter, _painted(query.colour, query.dashed))
    for pattern, colour in (colours or {}).items():
        panel = panel.override_by_regexp(pattern, _painted(colour))
    return panel


def band(panel: timeseries.Panel, name: str) -> timeseries.Panel:
    """The part of a panel under the series ``name`` in red: what lies in it counts."""
    return panel.override_by_name(
        name,
        [
            *_painted(RED, dashed=True),
            DynamicConfigValue("custom.fillOpacity", 15),
            DynamicConfigValue("custom.lineWidth", 1),
        ],
    )


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
        .thresholds(_thresholds([(None, GREY)]))
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


def rows(
    title: str,
    description: str,
    columns: Mapping[str, str],
    by: str,
    *,
    unit: str,
    span: int = 12,
    height: int = 8,
) -> table.Panel:
    """A row for each value of the label ``by``, a column for each PromQL of ``columns``, as of now."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .unit(unit)
        .no_value("nothing yet")
    )
    renamed: dict[str, str] = {}
    for letter, (name, expr) in zip("ABCDEFGH", columns.items(), strict=False):
        target = _target(Query(expr), letter).instant().format(PromQueryFormat.TABLE)
        panel = panel.with_target(target)
        renamed[f"Value #{letter}"] = name
    excluded = {"Time": True}
    return panel.transformations(
        [
            DataTransformerConfig("merge", options={}),
            DataTransformerConfig("organize", options={"excludeByName": excluded, "renameByName": renamed}),
            DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": by}]}),
        ]
    )


def words_of(
    title: str, description: str, expr: str, hidden: Sequence[str] = (), *, span: int = 12, height: int = 8
) -> table.Panel:
    """The labels of an info metric's series, as of now."""
    target = _target(Query(expr), "A").instant().format(PromQueryFormat.TABLE)
    excluded = dict.fromkeys(("Time", "Value", "__name__", "instance", "job", *hidden), True)
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .no_value("nothing yet")
        .with_target(target)
        .transformations([DataTransformerConfig("organize", options={"excludeByName": excluded})])
    )


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().datasource(SOURCE).ref_id(letter).expr(query.expr).legend_format(query.legend)
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(at, colour) for at, colour in steps])
    )


def _mappings(words: Words) -> list[ValueMapping]:
    options = {
        value: ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [ValueMap(options=options)]


def _painted(colour: str, dashed: bool = False) -> list[DynamicConfigValue]:
    painted = [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
    if dashed:
        painted.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
    return painted
