"""What the predictor promises, each answer held against the topic: refusals, ids, and the version that scored."""

from __future__ import annotations

import asyncio
import hashlib
import time

import predictor_topic as topic
from contracts.events import ModelChanged
from predictor_processes import Running, Server, good
from predictor_run import BATCHES, HEAD, MODEL, ROWS, SINGLE, Bench, line, sent
from results import seen
from scoring import OnnxModel
from servicekit.kafka import make_producer, publish

USERS = (1, 5, 10)  # of the thesis's load test
SWAPS, SWAP_SECONDS, BETWEEN_SECONDS = 20, 30.0, 0.1
VERSIONS = ("1", "2", "3")


async def refusals(bench: Bench, ours: Server) -> None:
    """The thesis's load test: of five requests one lacks a variable."""
    requests = [
        {"kind": "valid", "path": SINGLE, "bodies": bench.single, "weight": 4},
        {"kind": "lacking", "path": SINGLE, "bodies": bench.lacking, "weight": 1},
    ]
    print(f"\nof five requests one lacks a variable, by users\n{HEAD}")
    for n in USERS:
        found = await bench.driven(ours, **bench.spec(n, requests=requests))
        print(line(f"{n} ours", [found]))
        print(f"{'':>22} sent {found['sent']}, answered {found['answered']}", flush=True)
        right = found["answered"]["valid"].get("200", 0) + found["answered"]["lacking"].get("422", 0)
        what = f"{n} user{'s' * (n > 1)}, one in five lacks a variable"
        bench.none(f"{what}: answers that are not 200 and 422 as sent", sent(found) - right, "answers")
        bench.none(f"{what}: 200s and rows of the topic that lack each other", found["wrong"], "rows")
        bench.figures.append(seen(what, found["rate"], "requests/s"))


async def ids(bench: Bench, ours: Server) -> None:
    """Each id of many batches, the rows in their order, the scores by the version named."""
    capture = bench.folder / "answers"
    before = await topic.ends(bench.settings)
    spec = bench.spec(BATCHES, batch=True, seconds=1.0, warm_up=0.0, capture=str(capture))
    found = await asyncio.to_thread(Running(bench.folder, port=ours.port, **spec).found)
    made = await topic.events(bench.settings, before)
    verdict = topic.judge(capture, made, _models(bench), bench.classes)
    print(f"\n{ROWS:,} rows a request, {good(found)} answers read: {verdict}", flush=True)
    _kept(bench, f"{ROWS:,} rows a request", verdict)


async def swaps(bench: Bench, ours: Server) -> None:
    """Other versions come under load."""
    capture = bench.folder / "answers"
    before = await topic.ends(bench.settings)
    producer = await make_producer(bench.settings, "bench")
    spec = bench.spec(64, seconds=SWAPS * SWAP_SECONDS, warm_up=0.0, capture=str(capture))
    running = Running(bench.folder, port=ours.port, **spec)
    took = []
    try:
        for i in range(SWAPS):
            began = time.monotonic()
            event = _changed(bench, VERSIONS[(i + 1) % 3], VERSIONS[i % 3])
            await publish(producer, "model-events", event, source="bench", key=MODEL)
            while await asyncio.to_thread(ours.version) != event.version:
                if time.monotonic() > began + SWAP_SECONDS:
                    raise SystemExit(
                        f"version {event.version} does not serve: {ours.log.read_text()[-2000:]}"
                    )
                await asyncio.sleep(0.02)
            took.append(time.monotonic() - began)
            await asyncio.sleep(BETWEEN_SECONDS)  # so that some requests are this version's
    finally:
        running.stop()
        found = await asyncio.to_thread(running.found)
        await producer.stop()
    made = await topic.events(bench.settings, before)
    verdict = topic.judge(capture, made, _models(bench), bench.classes)
    print(
        f"\n{SWAPS} swaps under load of 64 connections, {found['rate']:,.0f} requests/s: {verdict}",
        flush=True,
    )
    what = f"{SWAPS} swaps"
    bench.none(f"{what}: answers that are not 200", sent(found) - good(found), "answers")
    bench.none(f"{what}: versions that no answer names", len({*VERSIONS} - {*verdict.versions}), "versions")
    _kept(bench, what, verdict)
    bench.figures += [
        seen(f"{what}: requests/s meanwhile", found["rate"], "requests/s"),
        seen(f"{what}: the longest from an event to the version's serving", 1000 * max(took), "ms"),
    ]


def _changed(bench: Bench, version: str, previous: str) -> ModelChanged:
    content = (bench.folder / version / "models/model.onnx").read_bytes()
    return ModelChanged(
        model=MODEL, version=version, previous_version=previous, action="promoted", artifact_uri="",
        sha256=hashlib.sha256(content).hexdigest(), effective_from=0, reason="bench",
    )  # fmt: skip


def _models(bench: Bench) -> dict[str, OnnxModel]:
    return {
        v: OnnxModel((bench.folder / v / "models/model.onnx").read_bytes(), bench.names) for v in VERSIONS
    }


def _kept(bench: Bench, what: str, verdict: topic.Verdict) -> None:
    lost = verdict.repeated_ids + verdict.unmatched
    bench.none(f"{what}: ids given twice, or that only the answers or only the topic has", lost, "ids")
    bench.none(
        f"{what}: rows that the version named in their record scores otherwise", verdict.other_score, "rows"
    )
    other = verdict.other_version + verdict.other_answer
    bench.none(f"{what}: answers of another version or score than their record", other, "answers")
