"""On a real Prometheus every target is up, every rule is computed, and every panel's query has data.

Here in a world where everything has happened once, within seconds; ``test_live`` asks the same of the loop as it runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_panels import first_value
from dashboards.asked import asked
from dashboards.generate import generated
from dashboards.look import NOBODY_KNOWS
from dashboards.promql import filled
from deployed_world import MODEL, running_world
from real_prometheus import CONFIG, Prometheus, running_prometheus, tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(900)]

WITHIN = 30  # seconds


def has_been(prometheus: Prometheus, expr: str) -> bool:
    """Whether an expression had a series at some time since the beginning: running services show not all at once."""
    return prometheus.series(f"count_over_time(({expr})[15m:1s])") > 0


def soon(query: str, values: dict[str, str]) -> str:
    """A panel's query with its variables filled in, over times as short as the test."""
    short = filled(query.partition(NOBODY_KNOWS)[0], values | {"__rate_interval": "20s"})
    return short.replace("[1m]", "[20s]").replace("[1h]", "[20s]")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has asked each target a few times."""
    folder = tmp_path_factory.mktemp("prometheus")
    with running_world() as targets, running_prometheus(folder, targets) as found:
        found.until(lambda: found.series("count_over_time(up[1m]) > 5 and up == 1") == len(targets))
        yield found


def test_every_target_is_up(prometheus: Prometheus) -> None:
    """Each job of the configuration is asked and answers."""
    active = prometheus.get("/api/v1/targets")["activeTargets"]
    assert {t["labels"]["job"]: t["health"] for t in active} == dict.fromkeys(
        ("predictor", "feedback", "drift-monitor", "trainer"), "up"
    )


def test_every_rule_is_computed(prometheus: Prometheus) -> None:
    """No rule is in error, and what is recorded has series."""
    rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] == "err"} == {}
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert len(recorded) > 5
    with contextlib.suppress(AssertionError):
        prometheus.until(lambda: all(has_been(prometheus, rule) for rule in recorded), WITHIN)
    assert [rule for rule in recorded if not has_been(prometheus, rule)] == []


@pytest.mark.parametrize("name", generated())
def test_every_query_has_data(prometheus: Prometheus, name: str) -> None:
    """Panels, marks and variables of a dashboard: what Grafana will ask is answered with at least one series."""
    board, values, now = json.loads(generated()[name]), {"model": MODEL}, time.time()
    for variable in board["templating"]["list"]:
        chosen = first_value(prometheus, variable["query"], values, now - 60, now)
        values.setdefault(variable["name"], chosen)
    queries = [(each.title, soon(each.expr, values)) for each in asked(board)]
    with contextlib.suppress(AssertionError):
        prometheus.until(lambda: all(has_been(prometheus, query) for _, query in queries), WITHIN)
    assert [(title, query) for title, query in queries if not has_been(prometheus, query)] == []


def test_a_metric_that_does_not_exist_is_found_out(prometheus: Prometheus) -> None:
    """The check can fail: a query for what nobody exposes has no series."""
    assert prometheus.series("sum(atalaia_requests)") == 0


def test_rules_are_what_promtool_and_amtool_take() -> None:
    """Configuration, rules and their unit tests, and Alertmanager's configuration pass the tools' own checks."""
    rules = sorted(str(path) for path in (CONFIG / "rules").glob("*.yml"))
    tests = sorted(str(path) for path in (CONFIG / "tests").glob("*.yml"))
    for command in (
        [tool("promtool"), "check", "config", str(CONFIG / "prometheus.yml"), str(CONFIG / "local.yml")],
        [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *rules],
        [tool("promtool"), "test", "rules", *tests],
        [tool("amtool"), "check-config", str(CONFIG / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_a_rule_that_is_wrong_does_not_pass(tmp_path: Path) -> None:
    """The unit tests can fail: with an alert's bound moved they do."""
    shutil.copytree(CONFIG, tmp_path / "prometheus")
    alerts = tmp_path / "prometheus" / "rules" / "alerts.yml"
    text = alerts.read_text(encoding="utf-8")
    changed = text.replace("ratio_rate5m > 0.01", "ratio_rate5m > 0.5")
    assert changed != text
    alerts.write_text(changed, encoding="utf-8")
    command = [tool("promtool"), "test", "rules", str(tmp_path / "prometheus" / "tests" / "alerts.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert "RequestsFail" in done.stdout + done.stderr
