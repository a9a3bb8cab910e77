"""The loop runs for real, a real Prometheus watches it, and nothing that Grafana would ask for is without data.

`atalaia demo loans` on embedded Kafka, with MLflow and the four services; it says where they are in the file that
``prometheus/local.yml`` reads. Settings let all happen that has panels: a shadow period, a person's approval, a review, alerts
about errors and about quality.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from asked_panels import has_data, without_data
from dashboards import answers, board
from dashboards.asked import Asked, filled_in
from dashboards.generate import generated
from real_prometheus import CONFIG, Prometheus, running_prometheus

pytestmark = [pytest.mark.tools, pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(1500)]

WITHIN = 1200  # seconds; quiet it takes a minute and a half
SCRAPE = 2.0  # seconds; on a busy machine an answer takes longer than one
JOBS = {job["job_name"] for job in yaml.safe_load((CONFIG / "prometheus.yml").read_text())["scrape_configs"]}
HAPPENS = {
    "ATALAIA_SHADOW_ROWS": "150",
    "ATALAIA_PROMOTION": "approve",
    "ATALAIA_QUALITY_DROP": "0.05",
    "ATALAIA_SPAN_MS": "3600000",
    "ATALAIA_REVIEW_ROWS": "300",
}


class Watched(NamedTuple):
    """A demonstration that is over, and what Prometheus has seen of it from when all was up until it ended."""

    prometheus: Prometheus
    start: float
    end: float
    run: str  # whose challenger was approved

    def range(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression over the time that was watched."""
        found = self.prometheus.get(
            "/api/v1/query_range", query=expr, start=str(self.start), end=str(self.end), step=str(SCRAPE)
        )
        series: list[dict[str, Any]] = found["result"]
        return series


def times_of(found: list[dict[str, Any]]) -> dict[str, set[float]]:
    """Of each alert all times, in seconds, that its series had as values."""
    times: dict[str, set[float]] = {}
    for series in found:
        values = {float(value) / 1000 for _, value in series["values"]}
        times.setdefault(series["metric"]["alertname"], set()).update(values)
    return times


def done_when(found: list[dict[str, Any]], **of: str) -> dict[str, float]:
    """Of each action the time, in seconds, that its series had last as a value; ``of``: labels that it has."""
    return {
        series["metric"]["action"]: float(series["values"][-1][1]) / 1000
        for series in found
        if of.items() <= series["metric"].items()
    }


def approve(trainer: str) -> str | None:
    """Say yes to the run that waits for a person, if one does; its id."""
    with urllib.request.urlopen(f"http://{trainer}/api/v1.0/status", timeout=10) as answer:
        decisions = json.loads(answer.read())["decisions"]
    for run in decisions:
        if run["decision"] == "waiting" and run["waits_for"] == "approval":
            request = urllib.request.Request(
                f"http://{trainer}/api/v1.0/trainings/{run['run_id']}/review",
                data=json.dumps({"approved": True, "reason": "read it", "reviewed_by": "test"}).encode(),
                headers={"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=10):
                return str(run["run_id"])
    return None


def addresses(targets: Path) -> dict[str, str]:
    """Where the services are, by name; nothing before they are and after."""
    try:
        return {g["labels"]["job"]: g["targets"][0] for g in json.loads(targets.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return {}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The demonstration, from its start to its end; a person approves what waits for one."""
    folder = tmp_path_factory.mktemp("live")
    targets, log = folder / "targets.json", folder / "demo.log"
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", "loans", "--out", str(folder / "out")]
    command += ["--prometheus-targets", str(targets)]
    with running_prometheus(folder, targets, patience=SCRAPE) as prometheus:
        with log.open("w") as out:
            demo = subprocess.Popen(command, env=os.environ | HAPPENS, cwd=folder, stdout=out, stderr=out)
        try:
            start = end = 0.0
            approved, deadline = None, time.monotonic() + WITHIN
            while demo.poll() is None:
                assert time.monotonic() < deadline, f"not within the deadline: {log.read_text()[-4000:]}"
                now, found = time.time(), addresses(targets)
                if found:
                    end = now
                    if not start and prometheus.series("up == 1") == len(JOBS):
                        start = now
                    with contextlib.suppress(OSError):  # it begins, or ends
                        approved = approved or approve(found["trainer"])
                time.sleep(0.2)
            assert demo.returncode == 0, log.read_text()[-6000:]
            assert approved
            assert start
            yield Watched(prometheus, start, end, approved)
        finally:
            demo.terminate()
            demo.wait(60)


def test_every_target_is_up(watched: Watched) -> None:
    """The four services, each under the job that prometheus.yml has for it, answer nearly whenever they are asked."""
    up = {
        series["metric"]["job"]: [value for _, value in series["values"]]
        for series in watched.range("min by (job) (up)")
    }
    assert set(up) == JOBS
    assert {job: values for job, values in up.items() if values.count("1") < 0.8 * len(values)} == {}


def test_where_they_are_is_said_while_they_run(watched: Watched) -> None:
    """The file is gone with the services, so that Prometheus forgets them."""
    assert watched.prometheus.until(lambda: not watched.prometheus.get("/api/v1/targets")["activeTargets"])


def test_every_rule_is_computed(watched: Watched) -> None:
    """No rule is in error, and each recording rule has had data."""
    groups = watched.prometheus.get("/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert len(recorded) > 5
    assert [name for name in recorded if not watched.range(name)] == []


def test_the_alerts_of_what_happened_have_fired(watched: Watched) -> None:
    """Errors and quality: the labelling has changed. Nothing about inputs, which have not, nor about the services."""
    fired = {s["metric"]["alertname"] for s in watched.range('ALERTS{alertstate="firing"}')}
    assert fired == {"Heartbeat", "ErrorDrift", "QualityFallen"}


def test_the_first_row_says_since_when_and_what_was_done(watched: Watched) -> None:
    """Of drift when it was noticed, and when it began by event time; and what the trainer and a person did, in order."""
    variables, seconds = {"model": "loans"}, watched.end - watched.start
    wrong = watched.range(filled_in(answers.wrong_now(), variables, seconds))
    since = times_of(wrong)
    assert set(since) >= {"none", "ErrorDrift", "QualityFallen"}
    began = times_of(watched.range(filled_in(answers.began(), variables, seconds)))
    for alert, kind in (("ErrorDrift", "real"), ("QualityFallen", "quality")):
        assert all(watched.start < at < watched.end for at in since[alert])
        said = watched.range(f'atalaia_alert_since_seconds{{model="loans", kind="{kind}"}}')
        assert began[alert] <= {float(value) for s in said for _, value in s["values"]}
        assert max(began[alert]) < watched.start - 86_400  # the demo's rows are of another year
    assert {"started", "waits for shadow"} <= {series["metric"].get("answer") for series in wrong}
    done = watched.range(filled_in(answers.done_last(), variables, seconds))
    at = done_when(done, run=watched.run)
    told = ["started", "waits for shadow", "waits for approval", "approved", "promoted"]
    assert sorted(told, key=at.__getitem__) == told
    assert all(watched.start - 60 < at[action] < watched.end for action in told)
    newest = watched.range(filled_in(answers.done_last(newest=True), variables, seconds))
    times = [time for series in newest for time, _ in series["values"]]
    assert len(times) == len(set(times)), "one at a time"
    assert max(newest, key=lambda series: series["values"][-1][0])["metric"]["action"] == "promoted"


def test_marks_stand_where_it_was_done(watched: Watched) -> None:
    """What Grafana takes for a mark's time is when it was done: of the training in its order, of both versions that served."""
    trained, changed = (
        watched.range(filled_in(expr, {"model": "loans"}, watched.end - watched.start))
        for expr in (board.TRAINING, board.CHANGED)
    )
    at = done_when(trained, run=watched.run)
    told = ["started", "waits for shadow", "waits for approval", "approved"]
    assert sorted(at, key=at.__getitem__) == told
    came = done_when(changed)
    assert came["installed"] < at["started"]
    assert at["approved"] < came["promoted"] < watched.end


@pytest.mark.parametrize("name", generated())
def test_every_query_has_data(watched: Watched, name: str) -> None:
    """What Grafana asks for a dashboard's panels, marks and variables is answered with at least one series of numbers."""
    assert without_data(watched.prometheus, name, watched.start, watched.end, {}, SCRAPE) == []


def test_a_panel_of_what_nobody_exposes_is_found_out(watched: Watched) -> None:
    """The check can fail."""
    wrong = Asked("wrong", 'sum(rate(atalaia_requests{model="$model"}[$__rate_interval]))')
    assert not has_data(watched.prometheus, wrong, {"model": "loans"}, watched.start, watched.end, SCRAPE)
