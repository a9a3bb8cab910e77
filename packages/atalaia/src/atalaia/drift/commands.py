"""The commands under ``atalaia drift``: parse, call, print."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="Explain an alert, accept it, or try other thresholds.", no_args_is_help=True)


@app.command()
def explain(
    alert: Annotated[str, typer.Argument(help="an alert's id or its beginning; none: the list")] = "",
    newest: Annotated[
        bool, typer.Option("--newest", help="show the newest drifted window, not the one that raised it")
    ] = False,
) -> None:
    """What changed, with plots, from the topics of alerts and reports alone."""
    from contracts.events import AlertChanged, ConceptTested, WindowTested
    from servicekit.config import read_settings
    from servicekit.topic_log import read_events

    from atalaia.drift.explain import render, render_list
    from atalaia.drift.history import Alert, alerts_of, find
    from atalaia.drift.log import connect

    async def read() -> tuple[list[Alert], list[WindowTested], list[ConceptTested]]:
        settings = read_settings()
        await connect(settings)
        alerts = alerts_of(await read_events(settings, "drift-alerts", AlertChanged))
        if not alert:
            return alerts, [], []
        found = find(alerts, alert)
        reports = await read_events(settings, "drift-reports", WindowTested)
        if found.opening.kind == "virtual":
            return [found], reports, []
        return [found], reports, await read_events(settings, "concept-reports", ConceptTested)

    alerts, reports, errors = asyncio.run(read())
    console = Console()
    if alert:
        render(console, alerts[0], reports, errors, newest=newest)
    else:
        render_list(console, alerts)


@app.command()
def accept(
    alert: Annotated[str, typer.Argument(help="an open alert's id or its beginning")],
    reason: Annotated[str, typer.Option(help="why the new world is all right")],
    by: Annotated[str, typer.Option(help="who says so")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be accepted")] = False,
) -> None:
    """Take the live rows since an alert as the reference, without a new model; the alert closes."""
    from contracts.events import (
        AlertChanged,
        ReferenceAccepted,
        TrainingDecided,
        WindowTested,
    )
    from drift_monitor.consumes.panes import read_panes
    from servicekit.config import read_settings
    from servicekit.topic_log import read_events

    from atalaia.drift.accept import TOPIC, acceptance, blind_spots, said, send, under_way
    from atalaia.drift.explain import say
    from atalaia.drift.history import alerts_of, find
    from atalaia.drift.log import connect

    async def take() -> tuple[ReferenceAccepted, list[str]]:
        settings = read_settings()
        await connect(settings)
        found = find(alerts_of(await read_events(settings, "drift-alerts", AlertChanged)), alert)
        accepted = await read_events(settings, TOPIC, ReferenceAccepted)
        # Reports first: the panes that are read after them hold at least what they count.
        reports = await read_events(settings, "drift-reports", WindowTested)
        panes, _ = await read_panes(settings)
        event = acceptance(found, reports, panes, accepted, reason, by)
        if not dry_run:
            await send(settings, event)
        own = [r for r in reports if (r.model, r.version) == (event.model, event.version)]
        trainings = await read_events(settings, "training-runs", TrainingDecided)
        return event, [*blind_spots(event, own), *under_way(event.alert_id, trainings)]

    event, warnings = asyncio.run(take())
    console = Console()
    for line in (*said(event), *warnings):
        say(console, line)
    say(
        console,
        "--dry-run: nothing was published" if dry_run else "The alert closes with the next window decided.",
    )


@app.command()
def backtest(
    settings: Annotated[Path, typer.Option(help="ATALAIA_* thresholds to try, one NAME=value a line")],
    model: Annotated[str, typer.Option(help="where the topics hold several")] = "",
    project: Annotated[
        str, typer.Option(help="ML project whose service.env the monitor runs with; the environment wins")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="show quiet windows too")] = False,
) -> None:
    """Stored windows judged again under other thresholds, before and after side by side."""
    from contracts.events import ModelChanged, PaneCounted, ReferenceAccepted, WindowTested
    from drift_monitor.consumes.panes import read_panes
    from servicekit.errors import UserError
    from servicekit.topic_log import read_events

    from atalaia.drift.backtest import grid_of, judge_again, other_settings, render, rule_from, unlike
    from atalaia.drift.explain import say, when
    from atalaia.drift.log import connect, one_model
    from atalaia.drift.profiles import profiles_of
    from atalaia.first_model import settings_from
    from atalaia.project import find_project, read_env

    if not settings.is_file():
        raise UserError(f"--settings {settings}: there is no such file")
    given = read_env(settings)
    now = settings_from({**(find_project(project).service_env if project else {}), **os.environ})

    async def read() -> tuple[
        list[WindowTested], list[PaneCounted], list[ModelChanged], list[ReferenceAccepted]
    ]:
        await connect(now)
        return (
            await read_events(now, "drift-reports", WindowTested),
            (await read_panes(now))[0],
            await read_events(now, "model-events", ModelChanged),
            await read_events(now, "references", ReferenceAccepted),
        )

    reports, panes, changes, accepted = asyncio.run(read())
    named = one_model({pane.model for pane in panes}, model or now.model, asked=bool(model))
    own = [report for report in reports if report.model == named]
    grid = grid_of(own, now)
    after, unused = other_settings(now, given, grid)
    until = max(report.window_end for report in own)
    profile = profiles_of(now, named)
    judged = [
        judge_again(named, panes, changes, profile, grid, rule_from(each, grid), until, accepted, own)
        for each in (now, after)
    ]
    console = Console()
    say(console, f"{named}: windows of {grid.size} ms up to {when(until)} UTC, judged again from their panes")
    if unused:
        say(console, f"not thresholds, and not used: {', '.join(unused)}")
    if others := unlike(own, judged[0]):
        say(
            console,
            f"the monitor's own reports judge {others} windows otherwise than `before`, which goes by this "
            f"environment: it ran with other settings (see --project)",
        )
    render(console, (now, after), (judged[0], judged[1]), every=every)
