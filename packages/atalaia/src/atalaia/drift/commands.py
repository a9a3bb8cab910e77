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
    """What changed, with plots, from drift-alerts and drift-reports alone."""
    from contracts.events import AlertChanged, WindowTested
    from servicekit.config import read_settings

    from atalaia.drift.explain import render, render_list
    from atalaia.drift.history import alerts_of, find
    from atalaia.drift.log import connect, events_of

    async def read() -> tuple[list[AlertChanged], list[WindowTested]]:
        settings = read_settings()
        await connect(settings)
        changes = await events_of(settings, "drift-alerts", AlertChanged)
        return changes, await events_of(settings, "drift-reports", WindowTested) if alert else []

    changes, reports = asyncio.run(read())
    console = Console()
    alerts = alerts_of(changes)
    if alert:
        render(console, find(alerts, alert), reports, newest=newest)
    else:
        render_list(console, alerts)


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
    from contracts.events import ModelChanged, PaneCounted, WindowTested
    from servicekit.errors import UserError

    from atalaia.drift.backtest import grid_of, judge_again, other_settings, render, rule_from, unlike
    from atalaia.drift.explain import say, when
    from atalaia.drift.log import connect, events_of, newest_by_key, one_model
    from atalaia.drift.profiles import profiles_of
    from atalaia.project import find_project, read_env
    from atalaia.up import settings_from

    if not settings.is_file():
        raise UserError(f"--settings {settings}: there is no such file")
    given = read_env(settings)
    now = settings_from({**(find_project(project).service_env if project else {}), **os.environ})

    async def read() -> tuple[list[PaneCounted], list[ModelChanged], list[WindowTested]]:
        await connect(now)
        return (
            await newest_by_key(now, "panes", PaneCounted),
            await events_of(now, "model-events", ModelChanged),
            await events_of(now, "drift-reports", WindowTested),
        )

    panes, changes, reports = asyncio.run(read())
    named = one_model({pane.model for pane in panes}, model or now.model, asked=bool(model))
    own = [report for report in reports if report.model == named]
    grid = grid_of(own, now)
    after, unused = other_settings(now, given, grid)
    until = max(report.window_end for report in own)
    profile = profiles_of(now, named)
    judged = [
        judge_again(named, panes, changes, profile, grid, rule_from(each, grid), until)
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
