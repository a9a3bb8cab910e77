"""The commands under ``atalaia drift``: parse, call, print."""

from __future__ import annotations

import asyncio
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
