"""The view in a terminal: the first line, features, quality and the train of events, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from atalaia.drift.explain import chance, make_table, when
from atalaia.drift.plots import Signs, number, signs_for, sparkline
from atalaia.watch.domain.chain import Chain
from atalaia.watch.domain.choosing import choices, chosen
from atalaia.watch.domain.evidence import HELD, MUST_NOT, WHICH_ROWS
from atalaia.watch.domain.steps import Step
from atalaia.watch.domain.view import View, view
from atalaia.watch.domain.words import metric_name
from atalaia.watch.reading import Reading, Watching

STYLES = {"alarm": "bold red", "wait": "bold yellow", "good": "bold green", "none": "bold", "plain": ""}
FEATURES = {"drifted": "red", "was": "yellow", "steady": "dim"}
WORDS = {"drifted": "drifted", "was": "drifted earlier", "steady": "steady"}
KINDS = {"virtual": "drift", "real": "concept drift", "manual": "asked for"}
SPARK, WIDE = 24, 100
MUCH = (24, 24)
ROOMY = 6  # from how many features on there is room for what only explains
FITTING = ((16, 16), (12, 12), (8, 8), (6, 6), (4, 4), (3, 2), (2, 0), (0, 0))
"""How many features and steps a frame shows: the most that its terminal has room for."""


def frame(reading: Reading, model: str, console: Console, *, lines: int | None) -> RenderableType:
    """One frame; ``lines`` are all there is room for, None for as many as it takes."""
    clock = reading.clock
    memory = chosen(reading.shown, model, clock)
    if memory is None:
        return Padding(Group(_nothing(reading, model), Text(), _status(reading.watching)), (0, 1))
    shown, signs = view(memory, clock), signs_for(console.encoding)
    others = [c for c in choices(reading.shown, clock) if c.model != shown.model]

    def with_room(features: int, steps: int, *, figures: bool) -> RenderableType:
        parts = [_headline(shown, figures=figures), Text(), _features(shown, features, signs, console.width)]
        if shown.metrics:
            parts += [Text(), _quality(shown, signs)]
        if steps:
            parts += [Text(), _trail(shown.trail, steps)]
        if others:
            said = ", ".join(f"{clean(c.model)} ({c.state.lower()})" for c in others)
            parts.append(Text(f"Other models, with --model: {said}", style="dim"))
        return Padding(Group(*parts, Text(), _status(reading.watching, shown.newest)), (0, 1))

    if lines is None:
        return with_room(*MUCH, figures=True)
    for room in FITTING:
        fitting = with_room(*room, figures=room[0] > ROOMY)
        if len(console.render_lines(fitting, console.options.update(height=None))) <= lines:
            break
    return fitting


def clean(text: str) -> str:
    """Topics hold what others write: what a terminal would take for a command is shown as a sign.

    >>> clean("temp\\x1b[2J")
    'temp�[2J'
    """
    return "".join(c if c.isprintable() else "�" for c in text)


def _nothing(reading: Reading, model: str) -> Text:
    named = ", ".join(clean(name) for name in sorted(reading.shown.models))
    if not named and not reading.complete:
        return Text("The topics are not read yet.", style="bold")
    if model and named:
        return Text(f"The topics name no model {clean(model)}; they name {named}.", style="bold")
    return Text("No model has reported yet.", style="bold")


def _headline(shown: View, *, figures: bool) -> RenderableType:
    head, style = shown.headline, STYLES[shown.headline.tone]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    more = f" {clean(head.more)}" if head.more else ""
    table.add_row(Text("now", style="dim"), Text.assemble((clean(head.now), "bold"), more))
    if head.turn is not None:
        table.add_row(Text("your turn", style=style), Text(clean(head.turn.words), style="bold"))
        for command in head.turn.commands:
            table.add_row(
                "", Text.assemble((clean(command.line), "bold cyan"), (f"  # {clean(command.does)}", "dim"))
            )
    elif head.need:
        table.add_row(Text("to do", style="dim"), Text(clean(head.need)))
    for what, words in (("since", head.since), ("done", head.done)):
        for line in words.splitlines():
            table.add_row(Text(what, style="dim"), Text(clean(line)))
            what = ""
    if figures and shown.facts:
        told = ((fact.value, ", ".join(filter(None, (fact.state, fact.label)))) for fact in shown.facts)
        said = "; ".join(f"{value} ({more})" for value, more in told)
        table.add_row(Text("figures", style="dim"), Text(clean(said), style="dim"))
    phase = f": {head.phase}" if head.phase else ""
    return Group(Text(f"{head.state.upper()}{phase}", style=style), table)


def _features(shown: View, room: int, signs: Signs, width: int) -> RenderableType:
    if shown.tiles_of is None:
        return Text("No window had rows enough to be judged yet.")
    if not room:
        return Text(
            f"{sum(t.state == 'drifted' for t in shown.tiles)} of {len(shown.tiles)} inputs and outputs drifted"
        )
    wide = width >= WIDE
    names = [
        "feature",
        "state",
        "effect",
        *(["p", "drifted in"] if wide else []),
        "since (UTC)",
        "effect over time",
    ]
    table = make_table(*names, right=("effect", "p", "drifted in"), folds="feature", padding=2 if wide else 1)
    table.columns[0].min_width = 12
    for tile in shown.tiles[:room]:
        series = shown.series[tile.name]
        line, _ = sparkline(
            series.effect, series.drifted, len(series.effect), SPARK if wide else SPARK // 2, signs
        )
        style = FEATURES[tile.state]
        more = [chance(tile.p), f"{tile.drifted_in} of {tile.windows}"] if wide else []
        table.add_row(
            Text(clean(tile.name), style=style),
            Text("may be chance" if tile.over and tile.state == "steady" else WORDS[tile.state], style=style),
            f"{'V' if tile.effect_name == 'cramers_v' else tile.effect_name} {tile.effect:.3f}",
            *more,
            when(tile.since) if tile.since is not None else "-",
            Text(line, style=style),
        )
    left = len(shown.tiles) + shown.left_out - room
    effects = f"effects of {number(shown.tiles_of.min_effect)} or more count; D: Kolmogorov-Smirnov distance, V: Cramér's V"
    words = [f"and {left} more, which differ less"] if left > 0 else []
    if shown.tiles_of.version != shown.version:
        words.append(
            f"of version {clean(shown.tiles_of.version)}, replaced; version {clean(shown.version or '')} has none yet"
        )
    words += [effects] if room > ROOMY else []
    return Group(table, *(Text(line, style="dim") for line in words))


def _quality(shown: View, signs: Signs) -> Text:
    metric = shown.metrics[0]
    told = [q for q in shown.quality if metric in q.figures and q.enough]
    values = [q.figures[metric].realised for q in told]
    line, _ = sparkline(values, [False] * len(values), len(values), SPARK * 2, signs)
    figure = told[-1].figures[metric] if told else None
    text = Text(f"{metric_name(metric)}  {line}")
    if figure is not None and figure.realised is not None:
        text.append(f"  {number(round(figure.realised, 4))}")
        if figure.low is not None and figure.high is not None:
            text.append(f" ({number(round(figure.low, 4))} to {number(round(figure.high, 4))})", style="dim")
        if figure.estimated is not None:
            text.append(f", guess before the labels {number(round(figure.estimated, 4))}")
        text.append(
            f", {told[-1].coverage:.0%} of rows labelled, window to {when(told[-1].end)}", style="dim"
        )
        if told[-1].version != shown.version:
            text.append(f", version {clean(told[-1].version)}, replaced", style="dim")
    return text


def _trail(chains: Sequence[Chain], room: int) -> RenderableType:
    table = make_table("event time", "what", "version", "why", folds="why")
    left = room
    for chain in chains:
        if left <= 0:
            break
        mark = f"{' (open)' if chain.open else ''}; {chain.came}"
        table.add_row(
            "",
            Text(KINDS.get(chain.kind, chain.kind.replace("_", " ")), style="bold"),
            "",
            Text(clean(f"{chain.title}, since {when(chain.since)}{mark}"), style="bold"),
        )
        for step in chain.steps[-left:]:
            style = STYLES[step.tone].removeprefix("bold ")
            table.add_row(
                when(step.at),
                Text(step.what, style=style),
                clean(step.version or ""),
                Text(clean(step.words)),
            )
            for line in _figures(step):
                table.add_row("", "", "", Text(clean(line), style="dim"))
        left -= len(chain.steps) + 1
    return table if chains else Text("Nothing has happened so far.", style="dim")


def _figures(step: Step) -> list[str]:
    """Which rows trained, and what a challenger made worse than it may, a line each; the rest stands in the words."""
    lines = []
    for table in step.evidence:
        rows = table.rows if table.title == WHICH_ROWS else []
        if table.title == MUST_NOT:
            rows = [row for row in table.rows if row[-1] != HELD[True]]
        if rows:
            columns = ", ".join(filter(None, table.columns[1:]))
            told = "; ".join(f"{name}: {', '.join(filter(None, cells))}" for name, *cells in rows)
            lines.append(f"{table.title} ({columns}): {told}")
    return lines


def _status(watching: Watching, newest: int = 0) -> Text:
    words = watching.words
    if newest:
        words += f" Newest window to {when(newest)} UTC."
    if watching.last is not None:
        at = datetime.fromtimestamp(watching.last / 1000, UTC)
        words += f" Newest record {at:%Y-%m-%d %H:%M:%S} UTC by the broker's clock."
    if watching.unreadable:
        counts = ", ".join(f"{n} of {topic}" for topic, n in sorted(watching.unreadable.items()))
        words += f" Unreadable and skipped: {counts}."
    return Text(clean(words), style="bold red" if watching.state == "away" else "dim")
