"""Rules ask for what the services expose, each alert has a runbook and a test, and Prometheus knows each service."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from dashboards.promql import unknown
from prometheus_rules import FOLDER, RECORDED, rules
from servicekit.config import Settings

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "src").is_dir())


ALERTS, RECORDS = rules("alerts"), rules("recording")


def test_rules_ask_for_what_is_exposed() -> None:
    """Each metric of each rule is one of servicekit.metrics with labels that it has, or a recording rule's."""
    wrong = {
        rule.get("alert") or rule["record"]: unknown(rule["expr"], RECORDED) for rule in [*ALERTS, *RECORDS]
    }
    assert {name: found for name, found in wrong.items() if found} == {}


def test_recorded_names_say_what_they_are() -> None:
    """level:metric:operations, as Prometheus advises, of one of our metrics, and each once."""
    assert len(RECORDED) == len(RECORDS)
    assert [name for name in RECORDED if not re.fullmatch(r"[a-z_]+:atalaia_[a-z_]+:[a-z0-9_]+", name)] == []


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    """Name once, urgency, summary, description, and a runbook section with what it means and what to do."""
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert [rule["alert"] for rule in ALERTS] == list(sections)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket", "notice"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert "**Means**" in sections[rule["alert"]], rule["alert"]
        assert "**Do**" in sections[rule["alert"]], rule["alert"]


def test_each_alert_says_of_what_in_its_own_labels() -> None:
    """The label is what dashboards show, and by what they know an alert as ours; a number in it would make a new alert each time."""
    for rule in ALERTS:
        about = rule["labels"]["about"]
        assert about, rule["alert"]
        assert "$value" not in about, rule["alert"]
        for label in re.findall(r"\$labels\.(\w+)", about):
            kept = " by (" not in rule["expr"] or re.search(rf"\b{label}\b", rule["expr"])
            assert kept, (rule["alert"], label)


def test_each_alert_is_tested() -> None:
    """promtool's tests name each: what is not tested may never fire."""
    tests = (FOLDER / "tests" / "alerts.yml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in ALERTS if not re.search(rf"\b{rule['alert']}\b", tests)] == []


def test_prometheus_asks_each_service_at_its_port() -> None:
    """A job a service, under the service's name, at the port that the settings say by default."""
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    asked = {job["job_name"]: job["dns_sd_configs"][0] for job in jobs}
    assert sorted(asked) == SERVICES
    ports = Settings.model_fields
    for name, found in asked.items():
        assert found["names"] == [name]
        assert found["port"] == ports[f"{name.replace('-', '_')}_port"].default


def test_alertmanager_names_alerts_that_there_are() -> None:
    """Routes and inhibitions name alerts and severities of the rules, and all goes to the one webhook."""
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text(encoding="utf-8"))
    matchers = [
        m for rule in config["inhibit_rules"] for k in ("source_matchers", "target_matchers") for m in rule[k]
    ]
    matchers += [m for route in config["route"]["routes"] for m in route["matchers"]]
    names = {rule["alert"] for rule in ALERTS}
    severities = {rule["labels"]["severity"] for rule in ALERTS}
    for matcher in matchers:
        label, _, quoted = matcher.partition(" = ")
        value = quoted.strip('"')
        assert value in (names if label == "alertname" else severities), matcher
    [receiver] = config["receivers"]
    assert receiver["webhook_configs"][0]["url_file"].startswith("/run/atalaia/alerts/")
    assert config["route"]["receiver"] == receiver["name"]
