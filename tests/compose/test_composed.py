"""The composed platform, for real: started, closed around the wine, scaled, killed piece by piece, and started anew.

The tests are one story and run in their order: `make test-compose`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from compose_load import Load
from compose_stack import Stack, until
from contracts.events import OutcomesJoined, PredictionsMade, WindowTested
from contracts.flow import load_topics
from servicekit.config import Settings
from servicekit.topic_log import read_events

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]
PROFILES = ("demo", "alerting", "three-brokers")
ONCE = ("secrets", "first-model")  # jobs that end
MODEL = "wine-quality"
WINDOW, GRACE = 3_000_000, 300_000  # projects/wine-quality/service.env


def events(stack: Stack, topic: str, kind: Any) -> list[Any]:
    """All that is on a topic."""
    return asyncio.run(read_events(Settings(kafka=stack.kafka), topic, kind))


@pytest.mark.parametrize("profile", ["", *PROFILES, "*"])
def test_the_configuration_is_clean(stack: Stack, profile: str) -> None:
    """`docker compose config` says nothing, with every profile and without."""
    done = stack.compose(*(["--profile", profile] if profile else []), "config", "--quiet", quiet=True)
    assert done.stdout + done.stderr == ""


def test_each_comes_up_healthy(stack: Stack) -> None:
    """From nothing: images are built, passwords made, a first model trained; `up --wait` ends once all are healthy."""
    stack.up("--build")
    state = {c["Config"]["Labels"]["com.docker.compose.service"]: c["State"] for c in stack.containers()}
    assert sorted(state) == stack.services()
    for name, each in state.items():
        if name in ONCE:
            assert (each["Status"], each["ExitCode"]) == ("exited", 0), name
        elif "Health" in each:
            assert each["Health"]["Status"] == "healthy", name
        else:
            assert each["Status"] == "running", name


def test_each_runs_with_no_more_than_it_needs(stack: Stack) -> None:
    """No process is root's, no file system but volumes and /tmp can be written, memory is limited, no capability is left."""
    for container in stack.containers():
        host, name = container["HostConfig"], container["Name"]
        assert host["ReadonlyRootfs"], name
        assert host["Memory"] > 0, name
        assert host["CapDrop"] == ["ALL"], name
        assert re.match(r"[1-9]\d*:", container["Config"]["User"]), name
        if container["State"]["Status"] == "running":
            listed = ["docker", "top", container["Id"], "-eo", "pid,uid"]
            told = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
            uids = {line.split()[1] for line in told.splitlines()[1:]}
            assert uids, name
            assert "0" not in uids, name
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values():
            assert all(each["HostIp"] == "127.0.0.1" for each in bindings or []), name


def test_no_password_can_be_read_off(stack: Stack) -> None:
    """What was made at the first start stands in no container's environment or arguments, nor in the configuration."""
    said = stack.compose("run", "--rm", "-T", "secrets", "show").stdout
    made = dict(line.split("=", 1) for line in said.split())
    assert sorted(made) == ["GRAFANA_PASSWORD", "POSTGRES_PASSWORD", "S3_DVC_SECRET_KEY", "S3_SECRET_KEY"]
    assert all(len(each) >= 24 for each in made.values())
    assert len(set(made.values())) == 4
    seen = json.dumps(stack.containers()) + stack.compose("config").stdout
    assert not [name for name, each in made.items() if each in seen]


def test_another_password_later_is_refused(stack: Stack) -> None:
    """A line of .env that says another password than the first start's ends in one line, and changes nothing."""
    given = stack.compose(
        "run", "--rm", "-T", "--env", "POSTGRES_PASSWORD=another", "secrets", check=False, quiet=True
    )
    assert given.returncode == 1
    assert "POSTGRES_PASSWORD in .env is another than at the first start" in given.stdout + given.stderr


def test_other_voters_later_are_refused(stack: Stack) -> None:
    """A start without the lines that made three brokers, or with them where there is one, ends before a broker is changed."""
    given = stack.compose(
        "run",
        "--rm",
        "-T",
        "--env",
        "KAFKA_VOTERS=1@kafka:9093,2@kafka-2:9093",
        "secrets",
        check=False,
        quiet=True,
    )
    assert given.returncode == 1
    assert "KAFKA_VOTERS in .env is another than at the first start" in given.stdout + given.stderr


def test_pages_of_other_sites_get_no_answer(stack: Stack) -> None:
    """The proxy answers to its own names, and to what no foreign page has sent."""

    def status(port: str, path: str, **headers: str) -> int:
        try:
            asked = urllib.request.Request(stack.url(port) + path, headers=headers)
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    for port, path in (("TRAINER", "/api/v1.0/status"), ("PREDICTOR", "/api/v1.0/model"), ("WATCH", "/")):
        assert status(port, path) == 200
        assert status(port, path, Origin=f"http://localhost:{stack.ports[port]}") == 200
        assert status(port, path, Host="evil.example") == 421
        assert status(port, path, Origin="https://evil.example") == 403


def test_the_loop_closes(stack: Stack) -> None:
    """The demo's profile: drift is noticed, a model is trained, promoted and served, no request fails."""
    done = stack.compose("--profile", "demo", "run", "--rm", "-T", "demo", seconds=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    read = stack.compose(
        "--profile", "demo", "run", "--rm", "-T", "--no-deps", "demo", "cat", "/reports/summary.json"
    )
    summary = json.loads(read.stdout)
    assert summary["closed"]
    assert summary["requests"]["failed"] == 0
    assert "promoted" in [version["action"] for version in summary["versions"]]
    assert stack.get("PREDICTOR", "/api/v1.0/model")["version"] != "1"


def test_models_are_in_postgres_and_the_s3_store(stack: Stack) -> None:
    """The registry's rows are PostgreSQL's, and its artifacts and DVC's files objects of the store."""
    psql = ("psql", "--username=mlflow", "--tuples-only", "--no-align", "--command")
    count = stack.inside("postgres", *psql, f"select count(*) from model_versions where name = '{MODEL}'")
    assert int(count) >= 2
    listing = (
        "import boto3, json, sys; pages = boto3.client('s3').get_paginator('list_objects_v2').paginate(Bucket=sys.argv[1]);"
        "print(json.dumps([o['Key'] for p in pages for o in p.get('Contents', [])]))"
    )
    models = json.loads(stack.inside("mlflow", "python", "-c", listing, "mlflow"))
    assert [key for key in models if key.endswith("model.onnx")]
    files = json.loads(stack.inside("trainer", "python", "-c", listing, "dvc"))
    assert [key for key in files if key.startswith(f"{MODEL}/files/md5/")]
    denied = stack.compose("exec", "-T", "trainer", "python", "-c", listing, "mlflow", check=False)
    assert "AccessDenied" in denied.stderr


def test_the_store_shows_nothing_without_a_key(stack: Stack) -> None:
    """Its own parts, which ask for none, are reached by nobody; PostgreSQL is not reached by who has no business there."""
    reach = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    stack.inside("mlflow", "python", "-c", reach, "seaweedfs", "8333")
    for service, host, port in (
        ("mlflow", "seaweedfs", "8888"),
        ("mlflow", "seaweedfs", "9333"),
        ("predictor", "seaweedfs", "8333"),
        ("trainer", "postgres", "5432"),
    ):
        tried = stack.compose("exec", "-T", service, "python", "-c", reach, host, port, check=False)
        assert tried.returncode == 1, (service, host, port)


def test_a_version_is_made_again_from_the_store(stack: Stack) -> None:
    """The round trip: `dvc pull` gets what the trainer pushed, and the run gives the same bytes and metrics."""
    version = str(stack.get("PREDICTOR", "/api/v1.0/model")["version"])
    done = stack.compose(
        "exec", "-T", "trainer", "atalaia", "reproduce", MODEL, version, seconds=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same" in done.stdout


def test_prometheus_asks_every_target(stack: Stack) -> None:
    """Each target is up, and no rule fails."""

    def targets_up() -> bool:
        targets = stack.get("PROMETHEUS", "/api/v1/targets")["data"]["activeTargets"]
        jobs = {target["labels"]["job"] for target in targets if target["health"] == "up"}
        return {"predictor", "feedback", "drift-monitor", "trainer"} <= jobs and all(
            target["health"] == "up" for target in targets
        )

    until(targets_up, 120, "every target is up")
    groups = stack.get("PROMETHEUS", "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert not [rule for rule in rules if rule["health"] == "err"]


def last_window_end(stack: Stack) -> int:
    """Where the newest window ended (ms)."""
    return max(report.window_end for report in events(stack, "drift-reports", WindowTested))


def rows_sent(stack: Stack, since: int) -> dict[str, tuple[str, int]]:
    """prediction id -> version and event time of the rows on ``predictions`` from a moment on."""
    return {
        f"{batch.batch_id}.{i}": (batch.version, at)
        for batch in events(stack, "predictions", PredictionsMade)
        for i, at in enumerate(batch.event_time)
        if at >= since
    }


def counted(stack: Stack, since: int) -> Counter[tuple[str, int]]:
    """Rows by version and window end, as the last final report of each says, and late ones."""
    last: dict[tuple[str, int], WindowTested] = {}
    late: Counter[tuple[str, int]] = Counter()
    for report in events(stack, "drift-reports", WindowTested):
        if report.final and report.window_end > since:
            last[report.version, report.window_end] = report
            late[report.version, 0] += report.late_rows
    return Counter({key: report.rows for key, report in last.items()}) + late


def settle(stack: Stack, load: Load, since: int) -> None:
    """Hold what the topics say against what the client was promised."""
    end = load.event_time + WINDOW + GRACE
    for port in ("DRIFT_MONITOR", "FEEDBACK"):
        until(lambda port=port: _flush(stack, port, end), 60, f"{port} takes the flush")
    rows = until(
        lambda: (found := rows_sent(stack, since)) and load.acknowledged.keys() <= found.keys() and found,
        120,
        "every acknowledged prediction is on its topic",
    )
    assert all(rows[pid][1] == at for pid, at in load.acknowledged.items())
    until(
        lambda: sum(counted(stack, since).values()) == len(rows),
        180,
        f"the monitors' windows hold each of {len(rows)} rows once",
    )

    def joined() -> bool:
        ids = Counter(
            pid
            for event in events(stack, "outcomes", OutcomesJoined)
            for pid, at in zip(event.prediction_id, event.event_time, strict=True)
            if at >= since
        )
        return load.labelled <= ids.keys() and set(ids.values()) <= {1}

    until(joined, 180, "each acknowledged label is joined once")


def _flush(stack: Stack, port: str, end: int) -> bool:
    asked = urllib.request.Request(
        stack.url(port) + "/api/v1.0/flush",
        json.dumps({"until": end}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return bool(answer.status < 300)


def test_replicas_share_the_work(stack: Stack, wine: Path) -> None:
    """Two predictors and three monitors: each predictor answers, each monitor has partitions, no row counts twice."""
    stack.up("--scale", "drift-monitor=3", "--scale", "predictor=2", "--no-recreate")
    assert len(stack.containers("predictor")) == 2
    assert len(stack.containers("drift-monitor")) == 3
    since = last_window_end(stack)
    load = Load(stack.url("PREDICTOR"), stack.url("FEEDBACK"), wine, since)
    load.start()
    until(lambda: len(load.acknowledged) >= 2000, 180, "2,000 rows are answered")
    load.stop()
    settle(stack, load, since)
    fetch = (
        "import sys, urllib.request as u; print(u.urlopen('http://127.0.0.1:' + sys.argv[1]).read().decode())"
    )
    for index in (1, 2):
        told = stack.inside("predictor", "python", "-c", fetch, "8000/metrics", index=index)
        rows = [
            float(line.split()[-1])
            for line in told.splitlines()
            if line.startswith("atalaia_rows_published_total{")
        ]
        assert sum(rows) > 0, index
    held = [
        json.loads(stack.inside("drift-monitor", "python", "-c", fetch, "8002/api/v1.0/status", index=index))[
            "partitions"
        ]
        for index in (1, 2, 3)
    ]
    assert all(held)
    assert sorted(partition for each in held for partition in each) == list(range(12))


KILLED = (
    "predictor", "feedback", "drift-monitor", "trainer", "proxy", "watch", "mlflow", "seaweedfs", "postgres", "prometheus", "kafka",
)  # fmt: skip


def test_whoever_is_killed_nothing_is_lost(stack: Stack, wine: Path) -> None:
    """Each of compose's services but Grafana is killed under load and started again: what was acknowledged is there, counted and
    joined once, and requests are answered again each time."""
    assert {*KILLED, *ONCE} == {*stack.services()} - {"grafana"}
    since = last_window_end(stack)
    load = Load(stack.url("PREDICTOR"), stack.url("FEEDBACK"), wine, since, apart_ms=5_000)
    load.start()
    try:
        for service in KILLED:
            started = {c["Id"]: c["State"]["StartedAt"] for c in stack.containers(service)}
            stack.compose("kill", service)
            stack.up("--scale", "drift-monitor=3", "--scale", "predictor=2", "--no-recreate")
            assert all(started[c["Id"]] != c["State"]["StartedAt"] for c in stack.containers(service)), (
                service
            )
            before = len(load.acknowledged)
            until(
                lambda before=before: len(load.acknowledged) > before + 100,
                180,
                f"rows are answered after {service}",
            )
    finally:
        load.stop()
    settle(stack, load, since)


def test_down_and_up_keeps_what_there_is(stack: Stack) -> None:
    """Without its containers the platform is in its volumes: versions, topics, labels and what Prometheus saw."""

    def state() -> dict[str, Any]:
        seen = stack.get(
            "PROMETHEUS",
            "/api/v1/query?query=count_over_time(up%7Bjob%3D%22trainer%22%7D%5B1d%5D%20@%20"
            + str(moment)
            + ")",
        )
        return {
            "seen by Prometheus": [each["value"][1] for each in seen["data"]["result"]],
            "version": stack.get("PREDICTOR", "/api/v1.0/model")["version"],
            "predictions": len(rows_sent(stack, 0)),
            "outcomes": sum(len(e.prediction_id) for e in events(stack, "outcomes", OutcomesJoined)),
            "windows": len(events(stack, "drift-reports", WindowTested)),
            "versions": stack.inside(
                "postgres",
                "psql",
                "--username=mlflow",
                "--tuples-only",
                "--command",
                "select count(*) from model_versions",
            ).strip(),
        }

    moment = int(time.time()) - 30
    before = state()
    assert before["seen by Prometheus"]
    stack.compose("down", "--timeout", "30", seconds=300)
    assert stack.containers() == []
    stack.up()
    after = state()
    assert after == before


def test_three_brokers_hold_every_record(stack: Stack, wine: Path) -> None:
    """The profile's lines: our topics are on three brokers, two must have a record, and with one killed the rest take more."""
    three = Stack(
        f"atalaia-three-{os.getpid()}",
        {"ATALAIA_TAG": "test", "WINE_CSV": str(wine)},
        ("docker/three-brokers.env",),
    )
    topics = "import asyncio; from servicekit.config import read_settings; from servicekit.topics import ensure_topics;"
    topics += "s = read_settings(); asyncio.run(ensure_topics(s))"
    kafka = "KAFKA_HEAP_OPTS=-Xmx128m /opt/kafka/bin"
    at = "--bootstrap-server kafka:9092,kafka-2:9092,kafka-3:9092"
    try:
        three.compose("up", "--wait", "kafka", "kafka-2", "kafka-3", seconds=300)
        three.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "first-model", "-c", topics)
        told = three.inside("kafka", "bash", "-c", f"{kafka}/kafka-topics.sh {at} --describe")
        for topic in load_topics():
            [line] = [
                each
                for each in told.splitlines()
                if each.startswith(f"Topic: {topic}\t") and "PartitionCount" in each
            ]
            assert "ReplicationFactor: 3" in line
            assert "min.insync.replicas=2" in line
        three.compose("kill", "kafka-2")
        send = f"echo kept | {kafka}/kafka-console-producer.sh {at} --topic predictions"
        three.inside("kafka", "bash", "-c", send)
        read = f"{kafka}/kafka-console-consumer.sh {at} --topic predictions --from-beginning --max-messages 1 --timeout-ms 60000"
        assert three.inside("kafka-3", "bash", "-c", read).strip() == "kept"
    finally:
        three.compose("--profile", "*", "down", "--volumes", "--timeout", "10", seconds=300, check=False)
