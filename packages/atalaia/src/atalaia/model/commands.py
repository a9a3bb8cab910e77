"""The commands under ``atalaia model``: parse, call, print."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="Which version serves; let another one shadow it; roll back.", no_args_is_help=True)
MODEL = typer.Option(help="where the topics hold several")


@app.command()
def status(model: Annotated[str, MODEL] = "") -> None:
    """Which version serves, since when and why, which one shadows it, and which one waits; from the topics alone."""
    from servicekit.config import read_settings
    from servicekit.errors import UserError

    from atalaia import approval
    from atalaia.drift.explain import say
    from atalaia.drift.log import connect
    from atalaia.model.standing import Standing, render, standings

    async def read() -> tuple[dict[str, Standing], approval.Standing]:
        settings = read_settings()
        await connect(settings)
        return await standings(settings), await approval.standing(settings)

    console = Console()
    found, runs = asyncio.run(read())
    if model and model not in found:
        raise UserError(f"the topics name no model {model}; they name {', '.join(found) or 'none'}.")
    if not found:
        say(console, "no model serves by model-events, and none shadows")
    for standing in found.values():
        if model in ("", standing.model):
            render(console, standing)
            for run in (run for run in runs.pending if run.model == standing.model):
                say(console, f"  version {run.challenger_version} is to serve: {run.reason}")
                say(console, f"    run {run.run_id}; its evidence: atalaia approve {run.run_id}")


@app.command()
def shadow(
    version: Annotated[str, typer.Argument(help="the registered version that shadows")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="let none shadow any more")] = False,
    model: Annotated[str, MODEL] = "",
    reason: Annotated[str, typer.Option(help="why")] = "",
    by: Annotated[str, typer.Option(help="who says so")] = "",
) -> None:
    """Let a version score the same rows as the one that serves, unseen; its answers go to shadow-predictions."""
    from contracts.events import ChallengerChanged
    from servicekit.config import read_settings
    from servicekit.errors import UserError

    from atalaia.drift.explain import say
    from atalaia.drift.log import connect
    from atalaia.model.shadow import announce, begin, end
    from atalaia.model.standing import Standing, one_of, standings
    from atalaia.registry import impatient

    if bool(version) == stop:
        raise UserError("say either a version that shadows, or --stop: see atalaia model shadow --help")
    settings = read_settings()

    async def read() -> Standing:
        await connect(settings)
        found = await standings(settings)
        named = one_of(found, model, settings.model)
        return found.get(named, Standing(named))

    standing = asyncio.run(read())
    now = int(time.time() * 1000)
    event: ChallengerChanged = (
        end(standing, now, reason, by)
        if stop
        else begin(standing, version, impatient(settings), now, reason, by)
    )
    asyncio.run(announce(settings, standing, event))
    console = Console()
    if event.version is None:
        say(console, f"No version of {event.model} shadows any more.")
        return
    beside = f"version {standing.serves}" if standing.serves else "whichever version comes to serve"
    say(
        console,
        f"Version {event.version} of {event.model} is to shadow {beside} (sha256 {event.sha256[:12]}).",
    )
    say(
        console,
        "Its answers go to shadow-predictions. Each predictor loads it and counts what came of it at /metrics, "
        "atalaia_shadow_swaps_total; its log says why where it does not.",
    )


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="the model, as model-events name it")],
    reason: Annotated[str, typer.Option(help="why; it stands on model-events")],
    to: Annotated[str, typer.Option(help="the version that is to serve; default: the predecessor")] = "",
) -> None:
    """Let an earlier version serve again, at once: one record on model-events, which every predictor follows."""
    from contracts.events import ModelChanged
    from servicekit.config import read_settings
    from servicekit.errors import UserError

    from atalaia.drift.explain import say, when
    from atalaia.drift.log import connect
    from atalaia.model.rollback import announce, changes, move_alias, newest_event_time, prepare, target
    from atalaia.registry import impatient

    if not reason.strip():
        raise UserError("say why, with --reason: it stands on model-events.")
    settings = read_settings()

    async def read() -> tuple[list[ModelChanged], int | None]:
        await connect(settings)
        events = await changes(settings, model)
        target(events, to)  # what cannot be is said before anybody is waited for
        return events, await newest_event_time(settings, model, int(time.time() * 1000))

    events, newest = asyncio.run(read())
    registry = impatient(settings, seconds=3, retries=0)
    found = prepare(events, to, registry, reason, newest)
    asyncio.run(announce(settings, found.event, events[-1]))
    event, away = found.event, found.away or move_alias(registry, found.event)
    console = Console()
    say(
        console,
        f"Version {event.version} of {model} is to serve in place of version {event.previous_version}, "
        f"from event time {when(event.effective_from)} on. A predictor that has it loaded switches at once, another "
        "loads it; atalaia_model_info at /metrics says who serves what.",
    )
    if away is None:
        say(console, "The registry's alias champion names it.")
    else:
        say(
            console,
            f"The registry's alias was not moved; a trainer that runs moves it once the registry answers: {away}",
        )


@app.command()
def install(
    model: Annotated[str, typer.Argument(help="the registered model")],
    version: Annotated[str, typer.Argument(help="its version that is to serve")],
    reason: Annotated[str, typer.Option(help="why; it stands on model-events")],
) -> None:
    """Let a registered version serve that no trainer has challenged, such as one that CI has published."""
    from contracts.codec import derived_id
    from contracts.events import ModelChanged
    from servicekit.config import read_settings
    from servicekit.errors import UserError

    from atalaia import sending
    from atalaia.drift.explain import say, when
    from atalaia.drift.log import connect
    from atalaia.model.installing import prepare, served
    from atalaia.model.rollback import move_alias, newest_event_time
    from atalaia.model.standing import SERVING
    from atalaia.registry import impatient

    if not reason.strip():
        raise UserError("say why, with --reason: it stands on model-events.")
    settings, console = read_settings(), Console()

    async def read() -> tuple[list[ModelChanged], int | None]:
        await connect(settings)
        events = await served(settings, model)
        return events, await newest_event_time(settings, model, int(time.time() * 1000))

    events, newest = asyncio.run(read())
    registry = impatient(settings)
    event = prepare(events, model, version, registry, reason, newest, settings.window_origin_ms)
    if event is None:
        say(console, f"Version {version} of {model} serves already.")
        return
    # what it follows is in the id: the same installation, sent twice, is one event
    ce_id = derived_id(
        SERVING, model, "installed", version, event.previous_version or "", event.effective_from
    )
    asyncio.run(sending.send(settings, SERVING, event, key=model, ce_id=ce_id, reader="predictor"))
    place = f"in place of version {event.previous_version}" if event.previous_version else "as the first"
    say(
        console,
        f"Version {version} of {model} is to serve {place}, from event time {when(event.effective_from)} on.",
    )
    if (away := move_alias(registry, event)) is not None:
        say(console, f"The registry's alias was not moved; a trainer that runs moves it: {away}")


def reproduce_version(model: str, version: str, keep: Path | None) -> int:
    """The exit code of ``atalaia reproduce``: 0 the same, 1 not."""
    from servicekit.config import read_settings
    from servicekit.errors import UserError
    from servicekit.provenance import differences, made_with

    from atalaia.drift.explain import say
    from atalaia.model.reproduce import Reproduction, tags_of
    from atalaia.registry import impatient

    settings = read_settings(model=model)
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UserError(f"{keep} is not empty: say a folder that is, or that is not there yet.")
    tags = tags_of(settings, impatient(settings), version)
    console = Console()
    with tempfile.TemporaryDirectory() as temporary, console.status("") as status:
        folder = keep or Path(temporary)
        compared = Reproduction(settings, tags, folder, tick=lambda line: status.update(line)).run()
    for found in compared:
        say(console, f"{found.what:8} {found.said}")
    for other in differences(tags, made_with()):
        say(console, f"made with other means: {other}")
    same = all(found.same for found in compared)
    ends = "is made again bit for bit" if same else "is not made again as it was"
    say(console, f"Version {version} of {model} {ends}.")
    return 0 if same else 1
