"""A demonstration of the monitor alone: a profile, rows by the published schema, reports, alerts, checks."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from contracts.events import AlertChanged, PredictionsMade, WindowTested
from jsonschema_rs import Draft202012Validator
from rich.console import Console
from rich.table import Table
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_events, read_whole
from servicekit.topics import ensure_topics
from summaries.profile import Profile

from atalaia.demo.topics import published_schema
from atalaia.demo.watched import Phase, Watched
from atalaia.demo.worlds import HOUR, Check
from atalaia.drift.explain import render
from atalaia.drift.history import Alert, alerts_of
from atalaia.processes import Child, get, python, wait_until_ready

RECORD = 50  # rows
SECONDS = 120.0
FOUND_WITHIN = 2  # windows
VERSION = "1"


@dataclass(frozen=True)
class Seen:
    """What the topics hold after a run, and how many rows were sent to each window."""

    windows: list[Phase]
    reports: list[WindowTested]
    alerts: list[Alert]
    refused: int
    invalid: list[str]
    sent: int


def demo(world: Watched, out: Path, console: Console) -> int:
    """Run it; 0 where everything that must hold did."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with console.status("reading what packages ship") as status:
        reference, windows = world.rows()
        status.update("making the profile")
        profile = profile_of(world, reference)
        with tempfile.TemporaryDirectory(prefix="atalaia-demo-", ignore_cleanup_errors=True) as folder:
            seen = _run(world, profile, windows, Path(folder), out / "logs", status.update)
    checks = checks_of(world, seen)
    _explain(seen, out / "alerts.txt")
    held = all(check.ok for check in checks)
    summary = {
        "world": world.name,
        "held": held,
        "checks": [{"name": c.name, "ok": c.ok, "seen": c.seen} for c in checks],
        "profile_bytes": len(orjson.dumps(profile.to_dict())),
        "windows": [
            {"phase": phase.name, "rows": r.rows, "status": r.status, "state": r.state, "p_value": r.p_value,
             "drifted": {name: round(f.effect, 4) for name, f in sorted(r.features.items()) if f.drifted}}
            for phase, r in zip(seen.windows, seen.reports, strict=False)
        ],
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    (out / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    _print(console, world, seen, checks, out, summary["seconds"])
    return 0 if held else 1


def profile_of(world: Watched, reference: Sequence[Any]) -> Profile:
    """Of one feature and no outputs: as for a model that is served elsewhere, watched by its inputs."""
    nothing = [0.0] * len(reference)
    columns = {world.field.name: list(reference)}
    built = Profile.build(columns, [world.field], nothing, None, "none", None, "regression")
    return replace(built, outputs=[])


def _run(
    world: Watched,
    profile: Profile,
    windows: list[tuple[Phase, list[Any]]],
    folder: Path,
    logs: Path,
    tick: Any,
) -> Seen:
    if told := sorted(name for name in os.environ if name.startswith("ATALAIA_KAFKA")):
        raise UserError(f"this demonstration starts a Kafka of its own: unset {', '.join(told)}")
    uri, port = f"sqlite:///{folder / 'mlflow.db'}", free_port()
    tick("registering the profile")
    _register(uri, world.name, profile, folder)
    tick("starting Apache Kafka")
    with EmbeddedKafka(folder / "kafka") as broker:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ATALAIA_")},
            "ATALAIA_KAFKA": broker.bootstrap, "ATALAIA_MLFLOW": uri, "MLFLOW_TRACKING_URI": uri,
            "ATALAIA_MODEL": world.name, "ATALAIA_PARTITIONS": "3", "ATALAIA_DATA_DIR": str(folder),
            "ATALAIA_DRIFT_MONITOR_PORT": str(port), "ATALAIA_RECOVERED_WINDOWS": "2",
        }  # fmt: skip
        settings = Settings(kafka=broker.bootstrap, mlflow=uri, model=world.name, partitions=3)
        asyncio.run(ensure_topics(settings))
        monitor = Child("drift-monitor", python("-m", "drift_monitor"), logs / "drift-monitor.log", env=env,
                        cwd=folder)  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(
                {"drift-monitor": (f"{url}/health/ready", monitor)}, SECONDS, tick, monitor.check
            )
            tick("sending rows")
            invalid = asyncio.run(_send(settings, world, windows))
            _decide(url, monitor, len(windows) * HOUR, tick)
            return asyncio.run(_seen(settings, windows, invalid))
        finally:
            monitor.stop()


def _register(uri: str, model: str, profile: Profile, folder: Path) -> None:
    """As docs/served-elsewhere.md has it."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.create_run(
        client.create_experiment(model, artifact_location=(folder / "artifacts").as_uri())
    )
    client.log_dict(run.info.run_id, profile.to_dict(), "profile.json")
    client.create_registered_model(model)
    client.create_model_version(model, source=run.info.artifact_uri, run_id=run.info.run_id)


async def _send(settings: Settings, world: Watched, windows: list[tuple[Phase, list[Any]]]) -> list[str]:
    """Every row, its window being an hour; what the published schema says against a record."""
    schema = Draft202012Validator(published_schema("predictions") or {})
    producer, invalid = await make_producer(settings, "atalaia-demo"), []
    try:
        for hour, (_, rows) in enumerate(windows):
            times = [hour * HOUR + i * HOUR // len(rows) for i in range(len(rows))]
            for at in range(0, len(rows), RECORD):
                some = rows[at : at + RECORD]
                text = world.field.dtype == "text"
                event = PredictionsMade(
                    batch_id=uuid.uuid4().hex,
                    model=world.name,
                    version=VERSION,
                    event_time=times[at : at + RECORD],
                    features={world.field.name: some} if text else {},
                    predictions=[0] * len(some),
                    vectors=None if text else {world.field.name: some},
                )
                invalid += [
                    str(e.message)[:200]
                    for e in schema.iter_errors(orjson.loads(orjson.dumps(_plain(event))))
                ]
                await publish(producer, "predictions", event, source="atalaia", key=event.batch_id)
    finally:
        await producer.stop()
    return invalid


def _plain(event: PredictionsMade) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def _decide(url: str, monitor: Child, until: int, tick: Any) -> None:
    """Wait until all rows are counted, then close the windows that nothing newer would."""
    deadline = time.monotonic() + SECONDS
    while True:
        status, body = get(f"{url}/api/v1.0/status", 30)
        watermark = (json.loads(body) if status == 200 else {}).get("watermark") or 0
        if watermark >= until - HOUR:
            break
        tick(f"the monitor counts: {watermark // HOUR} of {until // HOUR} windows")
        monitor.check()
        if time.monotonic() > deadline:
            raise monitor.failure(f"had not counted all rows after {SECONDS:.0f} s")
        time.sleep(0.2)
    tick("closing the last window")
    body = json.dumps({"until": until + Settings().grace_ms}).encode()
    with urllib.request.urlopen(f"{url}/api/v1.0/flush", body, SECONDS) as answer:
        answer.read()


async def _seen(settings: Settings, windows: list[tuple[Phase, list[Any]]], invalid: list[str]) -> Seen:
    reports = sorted(await read_events(settings, "drift-reports", WindowTested), key=lambda r: r.window_end)
    alerts = alerts_of(await read_events(settings, "drift-alerts", AlertChanged))
    refused = [record async for batch in read_whole(settings, "predictions.dlq") for record in batch]
    phases = [phase for phase, _ in windows]
    sent = sum(len(rows) for _, rows in windows)
    return Seen(phases, reports, alerts[::-1], len(refused), invalid, sent)


def checks_of(world: Watched, seen: Seen) -> list[Check]:
    """Quiet windows are quiet, each change is found soon and named, and its alert closes when it is over."""
    reports, name = seen.reports, world.field.name
    counted = sum(r.rows for r in reports)
    checks = [
        Check(
            "every row is valid, counted and in its window",
            not seen.invalid
            and not seen.refused
            and counted == seen.sent
            and len(reports) == len(seen.windows),
            f"{counted:,} of {seen.sent:,} rows in {len(reports)} windows, {seen.refused} records refused"
            + (f"; invalid: {seen.invalid[0]}" if seen.invalid else ""),
        )
    ]
    if len(reports) != len(seen.windows):
        return checks
    first = next(i for i, phase in enumerate(seen.windows) if phase.change)
    early = [r for r in reports[:first] if r.status != "ok"]
    checks.append(
        Check(
            "no window before the first change drifts",
            not early,
            f"{first} windows, the smallest p-value {min(r.p_value for r in reports[:first]):.2g}",
        )
    )
    at = 0
    for i, phase in enumerate(world.phases):
        span = reports[at : at + phase.windows]
        start, at = at * HOUR, at + phase.windows
        if phase.change:
            found = next((k for k, r in enumerate(span) if r.status == "drift"), None)
            drifted = [] if found is None else _strongest(span[found])
            checks.append(
                Check(
                    f"{phase.name}: found within {FOUND_WITHIN} windows, by {name}'s own counts",
                    found is not None
                    and found < FOUND_WITHIN
                    and all(n.partition(":")[0] == name for n in drifted),
                    f"in window {found + 1}, p = {span[found].p_value:.1g}: {', '.join(drifted[:3])}"
                    if found is not None
                    else f"not found; the smallest p-value {min(r.p_value for r in span):.2g}",
                )
            )
        elif i:
            closed = [a.changes[-1].window_end for a in seen.alerts if a.mark == "closed"]
            back = next((end for end in closed if start < end <= at * HOUR), None)
            checks.append(
                Check(
                    f"{phase.name}: the alert closes",
                    back is not None,
                    f"after {(back - start) // HOUR} windows" if back is not None else "still open",
                )
            )
    return checks


def _strongest(report: WindowTested) -> list[str]:
    drifted = [(f.p_adjusted, -f.effect, name) for name, f in report.features.items() if f.drifted]
    return [f"{name}" for _, _, name in sorted(drifted)]


def _explain(seen: Seen, path: Path) -> None:
    """What ``atalaia drift explain`` says of each alert."""
    with path.open("w", encoding="utf-8") as file:
        console = Console(file=file, width=110, no_color=True)
        for alert in seen.alerts:
            render(console, alert, seen.reports)
            console.print()


def _print(
    console: Console, world: Watched, seen: Seen, checks: list[Check], out: Path, seconds: Any
) -> None:
    windows = Table(title=f"Windows of {world.window_rows} rows", title_justify="left")
    for column in ("window", "what comes", "p", "state", "drifted, strongest first"):
        windows.add_column(column, overflow="fold")
    for i, (phase, r) in enumerate(zip(seen.windows, seen.reports, strict=False)):
        if phase.change or r.status != "ok" or r.state != "ok":
            windows.add_row(str(i + 1), phase.name, f"{r.p_value:.2g}", r.state, ", ".join(_strongest(r)[:4]))
    console.print(windows)
    table = Table(title=f"Atalaia demo: {world.name}", title_justify="left")
    table.add_column("")
    table.add_column("what had to be true")
    table.add_column("what was seen", overflow="fold")
    for c in checks:
        table.add_row("[green]✓[/]" if c.ok else "[red]✗[/]", c.name, c.seen)
    console.print(table)
    console.print(f"{seconds} s in all", highlight=False)
    console.print(
        f"alerts   {out / 'alerts.txt'}\nsummary  {out / 'summary.json'}", highlight=False, soft_wrap=True
    )


__all__ = ["checks_of", "demo", "profile_of"]
