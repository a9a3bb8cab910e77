"""``up`` runs the platform here; ``demo`` shows it on real data; ``drift`` is for who gets an alert, ``model`` for versions."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from servicekit.errors import UserError

from atalaia.drift import commands as drift
from atalaia.model import commands as model

app = typer.Typer(
    help="Serve a model, watch it, retrain and replace it when the world drifts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
TARGETS = Annotated[
    Path | None,
    typer.Option(help="a file for Prometheus's file_sd_configs: where the services are, while they run"),
]
app.add_typer(drift.app, name="drift")
app.add_typer(model.app, name="model")


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


@app.command()
def up(
    project: Annotated[Path, typer.Option(help="folder of the ML project to serve")] = Path(
        "projects/flights"
    ),
    data: Annotated[
        Path | None, typer.Option(help="where everything is kept (default .atalaia/<project>)")
    ] = None,
    prometheus_targets: TARGETS = None,
) -> None:
    """Broker, MLflow, a first model and the four services, until Ctrl-C."""
    from atalaia.project import find_project
    from atalaia.up import Platform

    console = Console()
    found = find_project(project)
    folder = data or Path(".atalaia") / found.name
    with console.status("starting") as status:
        platform = Platform(
            found,
            folder,
            tick=lambda line: status.update(line),
            prometheus_targets=prometheus_targets,
        )
        platform.__enter__()
    try:
        for name, address in platform.addresses().items():
            console.print(f"{name:14} {address}", highlight=False, soft_wrap=True)
        console.print(f"serving {found.name}; Ctrl-C stops everything")
        platform.wait()
    finally:
        console.print("stopping")
        platform.stop()


@app.command("first-model")
def first_model(
    project: Annotated[Path, typer.Option(help="folder of the ML project to serve")],
    data: Annotated[Path, typer.Option(help="where the project's own repository and DVC's cache are kept")],
) -> None:
    """Topics and a first model on a Kafka and an MLflow that run; what is there already is left as it is."""
    from atalaia.first_model import prepare
    from atalaia.project import find_project

    found, console = find_project(project), Console()
    version = prepare(found, data, lambda line: console.print(line, highlight=False))
    console.print(f"{found.name}: version {version} is the champion", highlight=False)


@app.command()
def watch(
    model: Annotated[
        str, typer.Option(help="where the topics hold several; default: the one most in trouble")
    ] = "",
    web: Annotated[bool, typer.Option("--web", help="a page for browsers instead of the terminal")] = False,
    once: Annotated[bool, typer.Option("--once", help="print what there is, and end")] = False,
    windows: Annotated[int, typer.Option(min=2, help="how many windows are remembered")] = 120,
    port: Annotated[int, typer.Option(help="of the page; default: ATALAIA_WATCH_PORT")] = 0,
    host: Annotated[str, typer.Option(help="address the page binds; default: ATALAIA_HOST")] = "",
) -> None:
    """What is wrong with the model now, since when, and what was done about it; from the topics alone."""
    from atalaia.watch.command import run

    run(model, windows, web=web, once=once, host=host, port=port)


@app.command()
def train(
    model: Annotated[str, typer.Option(help="where the topics hold several")] = "",
    since: Annotated[
        int | None,
        typer.Option(help="event time from which rows count as new, ms; default: the last training"),
    ] = None,
    reason: Annotated[str, typer.Option(help="why")] = "",
    by: Annotated[str, typer.Option(help="who asks")] = "",
    wait: Annotated[float, typer.Option(help="seconds to wait for the decision; 0: not at all")] = 0,
) -> None:
    """Ask for a training, drift or not; it has to win the same challenge as any other."""
    import asyncio

    from contracts.events import TrainingDecided, TrainingRequested
    from servicekit.config import read_settings

    from atalaia.drift.explain import say
    from atalaia.train import answer, ask

    settings = read_settings()

    async def run() -> tuple[TrainingRequested, TrainingDecided | None]:
        request = await ask(settings, model, since, reason, by)
        return request, await answer(settings, request, wait) if wait else None

    request, decided = asyncio.run(run())
    console = Console()
    if decided is None:
        say(console, f"Asked for a training of {request.model}; its decision will be on training-runs.")
        say(console, f"request {request.request_id}")
        return
    version = f" (version {decided.challenger_version})" if decided.challenger_version else ""
    say(console, f"{decided.decision}{version}: {decided.reason}")


RUN = Annotated[
    str, typer.Argument(help="the run's id or its beginning, or the model; default: the only one")
]
REASON = Annotated[
    str, typer.Option(help="why; it stands on training-runs. Without one only the evidence is shown")
]
BY = Annotated[str, typer.Option(help="who says so")]
WAIT = Annotated[float, typer.Option(help="seconds to wait for the run's end; 0: not at all")]


@app.command()
def approve(run: RUN = "", reason: REASON = "", by: BY = "", wait: WAIT = 0) -> None:
    """Let a challenger serve that has won and waits for a person; shows its evidence first."""
    _review(run, True, reason, by, wait)


@app.command()
def refuse(run: RUN = "", reason: REASON = "", by: BY = "", wait: WAIT = 0) -> None:
    """Let a challenger that has won not serve: one that waits for a person, or shadows; shows its evidence first."""
    _review(run, False, reason, by, wait)


def _review(asked: str, approved: bool, reason: str, by: str, wait: float) -> None:
    import asyncio

    from servicekit.config import read_settings

    from atalaia import approval
    from atalaia.drift.explain import say

    settings, console = read_settings(), Console()
    run = approval.chosen(asyncio.run(approval.standing(settings)), asked, approved)
    approval.render(console, run)
    if not reason.strip():
        raise UserError("say why, with --reason: it stands on training-runs.")
    event = approval.word(run, approved, reason, by)
    asyncio.run(approval.announce(settings, event))
    say(console)
    word = "approved" if approved else "refused"
    say(console, f"Version {event.version} of {event.model} is {word}; its trainer does the rest.")
    if wait:
        end = asyncio.run(approval.end(settings, run.run_id, wait))
        say(console, f"{end.decision}: {end.reason}")
        if approved and end.decision != "promoted":
            raise typer.Exit(1)


@app.command()
def demo(
    project: Annotated[
        str, typer.Argument(help="flights, wine-quality, loans; digits or texts: the monitor alone")
    ] = "flights",
    data: Annotated[
        Path | None, typer.Option(help="winequality-red.csv, where it shall not be downloaded")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="where the report goes (default atalaia-demo-<project>)")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="keep topics, models and clones in this folder")] = None,
    running: Annotated[
        bool,
        typer.Option(
            "--running", help="on services that run already and have seen nothing, where the settings say"
        ),
    ] = False,
    prometheus_targets: TARGETS = None,
) -> None:
    """The whole loop on real data, or the monitor on images and texts; exits 0 only if all held that must."""
    from atalaia.demo.run import data_setting
    from atalaia.demo.run import demo as run
    from atalaia.demo.watched import WATCHED
    from atalaia.project import find_project

    if project in WATCHED:
        from atalaia.demo.elsewhere import demo as watch

        if data is not None or keep is not None or running or prometheus_targets is not None:
            raise UserError(
                f"{project} brings its own data and services, and keeps nothing: "
                "no --data, --keep, --running or --prometheus-targets"
            )
        raise typer.Exit(watch(WATCHED[project], out or Path(f"atalaia-demo-{project}"), Console()))
    if running and (keep is not None or prometheus_targets is not None):
        raise UserError("--running keeps and starts nothing: no --keep, no --prometheus-targets")
    data_setting(project, data)
    found = find_project(project)
    folder = out or Path(f"atalaia-demo-{found.name}")
    raise typer.Exit(
        run(found, folder, Console(), keep, running=running, prometheus_targets=prometheus_targets)
    )


@app.command()
def reproduce(
    model: Annotated[str, typer.Argument(help="the registered model")],
    version: Annotated[str, typer.Argument(help="a version that the trainer made")],
    keep: Annotated[
        Path | None,
        typer.Option(help="an empty folder for the clone, kept afterwards (default a temporary one)"),
    ] = None,
) -> None:
    """Make a version again from its tags; exits 0 where data, model and metrics are the same, 1 where not."""
    from atalaia.model.commands import reproduce_version

    raise typer.Exit(reproduce_version(model, version, keep))


def main() -> None:
    """The console script. What the user can mend is one clear line and exit code 2."""
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"atalaia: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("atalaia: interrupted; everything was stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        print(f"atalaia: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        # here, for Kafka's client takes most of a second to come
        from servicekit.kafka_access import not_permitted

        said = not_permitted(error)
        if said is None:
            raise
        print(f"atalaia: {said}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
