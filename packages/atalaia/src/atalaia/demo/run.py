"""A demonstration from start to report."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from servicekit.errors import UserError
from servicekit.registry import Registry
from servicekit.topic_log import read_whole

from atalaia.demo import alerts, estimates
from atalaia.demo.changes import describe, outcome
from atalaia.demo.checks import common
from atalaia.demo.digest import digest
from atalaia.demo.figures import Scores
from atalaia.demo.frozen import score
from atalaia.demo.hold import Loop, asks, when
from atalaia.demo.replay import Replay, Sent
from atalaia.demo.report.page import write_page
from atalaia.demo.story import Story
from atalaia.demo.topics import Validation, read_all
from atalaia.demo.worlds import WORLDS, Check, Evidence, World
from atalaia.demo.worth import worths
from atalaia.project import Project
from atalaia.running import Running
from atalaia.services import SERVICES
from atalaia.up import Platform

JOIN_SECONDS = 60.0


class Screen:
    """Progress bars, one live line, and a lasting line for each thing worth remembering."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[line]}"),
            console=console,
        )
        self._task = self.progress.add_task("starting", total=None, line="")
        self._seen: Counter[str] = Counter()
        self._line = ""

    def stage(self, description: str, total: int | None = None) -> None:
        """Begin a new bar."""
        self.progress.update(self._task, visible=False)
        self._task = self.progress.add_task(description, total=total, line="")

    def tick(self, line: str) -> None:
        """Change the live line."""
        if line != self._line:
            self._line = line
            self.progress.update(self._task, line=line)

    def advance(self, n: int) -> None:
        self.progress.advance(self._task, n)

    def say(self, line: str) -> None:
        """A lasting line."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)

    def news(self, status: dict[str, Any]) -> None:
        """New decisions of the trainer, said once each; the live line follows its state."""
        for d in status.get("decisions") or []:
            key = f"{d['run_id']}{d['decision']}"
            if d["decision"] == "waiting" or self._seen[key]:
                continue
            self._seen[key] += 1
            colour = {"promoted": "green", "refused": "yellow", "failed": "red"}.get(d["decision"], "cyan")
            self.say(f"  {when(d['as_of'])}  [{colour}]{d['decision']:>8}[/]  {d['reason']}")
        if status.get("running"):
            self.tick("training: event time is held")
        elif asks(status):
            self.tick("event time is held for a person's word: atalaia approve, or refuse")


async def _replay(
    platform: Platform | Running, world: World, batches: Any, screen: Screen
) -> tuple[Sent, dict[str, Any], dict[str, Any]]:
    settings = platform.settings
    # Shorter than the servers' five seconds: a connection they are about to close is never used.
    connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=3)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"content-type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=60),
        skip_auto_headers=["User-Agent", "Accept-Encoding"],
    ) as session:
        loop = Loop(session, {name: platform.url(name) for name in SERVICES}, platform.check, screen.news)
        shown = 0.0

        def progress(rows: int, event_time: int) -> None:
            nonlocal shown
            screen.advance(rows)
            now = time.monotonic()
            if now - shown > 0.3:
                shown = now
                screen.tick(when(event_time))

        async def hold(boundary: int) -> None:
            screen.tick(f"{when(boundary)}: waiting for the monitor, the join and the trainer")
            platform.check()
            await loop.wait_considered(boundary)

        async def pass_time(until: int) -> None:
            screen.tick(f"no row is past {when(until)}: closing the window")
            await loop.flush(until)

        replay = Replay(
            session,
            platform.url("predictor"),
            platform.url("feedback"),
            origin=settings.window_origin_ms,
            window=settings.window_ms,
            grace=settings.grace_ms,
            upload_every=world.upload_every,
            hold=hold,
            pass_time=pass_time,
            progress=progress,
        )
        sent = await replay.run(batches)
        joiner = await _joined(platform, loop, sent.labels)
        return sent, loop.pauses.get(), joiner


async def _joined(platform: Platform | Running, loop: Loop, labels: int) -> dict[str, Any]:
    """Wait until feedback has joined what it took, so that the topics are read when they are complete."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        counts = await loop.get("feedback")
        if int(counts.get("joined") or 0) >= labels or time.monotonic() > deadline:
            # type(): whether a replica decides is a bool, and no count
            return {k: v for k, v in counts.items() if type(v) is int and k != "decided_through"}
        platform.check()
        await asyncio.sleep(0.2)


async def _require_empty(platform: Platform | Running) -> None:
    async for _ in read_whole(platform.settings, "predictions"):
        raise UserError(
            f"the broker at {platform.settings.kafka} holds predictions of an earlier run, which would be taken for "
            f"this one's: delete its topics, or use another broker (ATALAIA_KAFKA)"
        )


def demo(
    project: Project,
    out: Path,
    console: Console,
    keep: Path | None = None,
    *,
    running: bool = False,
    prometheus_targets: Path | None = None,
) -> int:
    """Run the demonstration; 0 where the loop really closed. ``keep``: a folder for all its data.

    ``running``: on the services, Kafka and MLflow that the settings name, instead of its own; of these ``prometheus_targets``
    says where they are.
    """
    world = WORLDS.get(project.name)
    if world is None:
        raise UserError(f"there is no demonstration of {project.name!r}, only of {', '.join(WORLDS)}")
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    last = began

    def lap(name: str) -> None:
        nonlocal last
        now = time.monotonic()
        seconds[name] = round(now - last, 1)
        last = now

    screen = Screen(console)
    with (
        tempfile.TemporaryDirectory(prefix="atalaia-demo-", ignore_cleanup_errors=True) as folder,
        screen.progress,
    ):
        screen.stage("reading data")
        batches, rows = world.traffic(project)
        screen.stage("starting")
        data = keep or Path(folder)
        platform = (
            Running(project, data, screen.tick)
            if running
            else Platform(
                project, data, free_ports=True, tick=screen.tick, prometheus_targets=prometheus_targets
            )
        )
        try:
            with platform:
                lap("start")
                for name, address in platform.addresses().items():
                    screen.say(f"  {name:14} {address}")
                if not platform.own_broker:
                    asyncio.run(_require_empty(platform))
                screen.stage("replay", rows)
                sent, pauses, joiner = asyncio.run(_replay(platform, world, batches, screen))
                lap("replay")
                screen.stage("reading and validating every topic")
                story, checked = asyncio.run(
                    read_all(platform.settings, lambda topic, n: screen.tick(f"{topic}: {n:,}"))
                )
                lap("validation")
                if not story.models:
                    raise UserError("no model was ever announced on model-events")
                screen.stage("comparing with the model nobody retrained")
                registry, model = Registry(platform.settings.mlflow), story.models[0].model
                served = list(dict.fromkeys(version for version, _ in story.served()))
                bundles = {version: registry.bundle(model, version) for version in served}
                settings = platform.settings
        finally:
            _keep_logs(data / "logs", out / "logs")
        scores = Scores(story.outcomes, score(bundles[served[0]], story.outcomes))
        evidence = Evidence(story, sent, scores, settings.window_ms)
        if world.policies:
            evidence.policies = world.policies(project, screen.tick, evidence)
        lap("comparison")
        checks = common(evidence, checked, joiner) + world.checks(evidence)
        summary = _summary(project.name, evidence, checked, pauses, joiner, checks)
        summary["settings"] = {
            k: getattr(settings, k)
            for k in (
                "window_ms",
                "grace_ms",
                "window_origin_ms",
                "alpha",
                "correction",
                "min_effect",
                "min_rows",
            )
        } | {"label_complete": settings.label_complete, "min_train_rows": settings.min_train_rows}
        summary["windows"] = scores.by_window(settings.window_origin_ms, settings.window_ms)
        facts = world.facts(project) if world.facts else None
        told = alerts.tell(story, worths(story.outcomes, bundles, served), facts)
        summary["alerts_judged"] = told
        summary["estimates"] = asdict(estimates.tell(story))
        (out / "alerts.md").write_text(alerts.page(project.name, summary["settings"], told), encoding="utf-8")
        screen.stage("writing the report")
        seconds["total"] = round(time.monotonic() - began, 1)
        summary["seconds"] = seconds
        (out / "summary.json").write_bytes(
            orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        )
        write_page(out / "report.html", story, summary)
        lap("report")
    closed = all(c.ok for c in checks if c.counts)
    _print(console, checks, summary, out, closed)
    return 0 if closed else 1


def _keep_logs(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for log in source.iterdir():
            (target / log.name).write_bytes(log.read_bytes())


def _summary(
    name: str,
    e: Evidence,
    checked: dict[str, Validation],
    pauses: dict[str, Any],
    joiner: dict[str, Any],
    checks: list[Check],
) -> dict[str, Any]:
    story, sent = e.story, e.sent
    mask = e.after_promotion()
    served_from = e.first_served()
    return {
        "project": name,
        "closed": all(c.ok for c in checks if c.counts),
        "checks": [{"name": c.name, "ok": bool(c.ok), "seen": c.seen, "counts": c.counts} for c in checks],
        "digest": digest(story),
        "requests": {
            "predictions": sent.batches,
            "rows": sent.rows,
            "label_uploads": sent.uploads,
            "labels": sent.labels,
            "failed": len(sent.failures),
            "failures": sent.failures[:20],
        },
        "rows_by_version": dict(sent.versions),
        "join": joiner,
        "pauses": pauses,
        "after_first_promotion": {
            "from": int(e.scores.time[mask].min()) if mask.any() else None,
            "served": e.scores.compared("served", mask),
            "frozen": e.scores.compared("frozen", mask),
            "trainings": e.trainings(),
            **e.policies,
        },
        "versions": [
            {
                "version": m.version,
                "ordinal": story.ordinal(m.version),
                "action": m.action,
                "decided_at": m.effective_from,
                "served_from": served_from.get(m.version),
                "reason": m.reason,
            }
            for m in story.models
        ],
        "decisions": [msgspec.to_builtins(d) for d in story.decisions],
        "alerts": [
            {
                "alert_id": a.alert_id,
                "version": a.version,
                "kind": a.kind,
                "state": a.state,
                "since": a.since,
                "window_end": a.window_end,
                "features": sorted(f for f, d in a.features.items() if d.drifted),
                "reason": a.reason,
                "changes": {f: describe(d) for f, d in sorted(a.features.items()) if d.drifted},
                "outcome": outcome(a.alert_id, story.decisions) if a.state == "drift" else "",
            }
            for a in story.alerts
        ],
        "messages": {topic: {"messages": v.messages, "invalid": v.invalid} for topic, v in checked.items()},
    }


def _print(console: Console, checks: list[Check], summary: dict[str, Any], out: Path, closed: bool) -> None:
    table = Table(title=f"Atalaia demo: {summary['project']}", title_justify="left", show_lines=False)
    table.add_column("")
    table.add_column("what had to be true")
    table.add_column("what was seen", overflow="fold")
    for c in checks:
        mark = "[green]✓[/]" if c.ok else "[red]✗[/]" if c.counts else "[yellow]✗[/]"
        table.add_row(mark, c.name, c.seen if c.counts else f"{c.seen} (a goal: shown only)")
    console.print(table)
    p = summary["pauses"]
    console.print(
        f"{p['count']} pauses held event time for {p['seconds']} s "
        f"({p['for_trainings']['count']} for trainings: {p['for_trainings']['seconds']} s); "
        f"{summary['seconds']['total']} s in all; digest {summary['digest'][:16]}",
        highlight=False,
    )
    console.print(
        f"{alerts.count(summary['alerts_judged'])}\n"
        f"report   {out / 'report.html'}\nalerts   {out / 'alerts.md'}\nsummary  {out / 'summary.json'}",
        highlight=False,
        soft_wrap=True,
    )
    console.print("[green]The loop closed.[/]" if closed else "[red]The loop did not close: see ✗ above.[/]")


def data_setting(project: str, data: Path | None) -> None:
    """``--data`` is how a project's file is given; only wine-quality takes one."""
    if data is None:
        return
    if project != "wine-quality":
        raise UserError(f"{project} brings its own data: --data is for wine-quality")
    if not data.is_file():
        raise UserError(f"--data {data}: there is no such file")
    os.environ["ATALAIA_WINE_CSV"] = str(data.resolve())


__all__ = ["Story", "data_setting", "demo"]
