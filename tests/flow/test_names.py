"""Compose, proxy, Prometheus, Kubernetes, topics, dashboards and papers call the same things by the same names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from contracts.flow import load_topics
from dashboards.generate import BOARDS
from servicekit.config import Settings
from servicekit.topics import GROUPS, wanted_topics

ROOT = Path(__file__).parents[2]
SERVICES = {path.name for path in (ROOT / "services").iterdir() if (path / "src").is_dir()}
PORTS = {name: Settings.model_fields[f"{name.replace('-', '_')}_port"].default for name in SERVICES}
TOPICS = load_topics()


def read(name: str) -> str:
    """A file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


COMPOSE: dict[str, Any] = yaml.safe_load(read("compose.yml"))["services"]
JOBS = {job["job_name"]: job for job in yaml.safe_load(read("prometheus/prometheus.yml"))["scrape_configs"]}


def test_each_service_has_one_name_and_one_port() -> None:
    """Folder, compose service, module, health check, proxy, Prometheus job and Kubernetes workload agree."""
    proxy = read("docker/haproxy.cfg")
    assert COMPOSE.keys() >= SERVICES
    assert set(JOBS) >= SERVICES
    for name in SERVICES:
        port, module = PORTS[name], name.replace("-", "_")
        assert (ROOT / "services" / name / "src" / module / "__main__.py").is_file()
        assert COMPOSE[name]["command"] == ["python", "-m", module]
        assert COMPOSE[name]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}/health/ready"
        assert f"127.0.0.1:${{{module.upper()}_PORT:-{port}}}:{port}" in COMPOSE["proxy"]["ports"]
        assert re.search(
            rf"frontend {name}\n  bind :{port}\n(?:  http-request .*\n)*  default_backend {name}\n", proxy
        )
        assert re.search(rf"server-template {name} \d+ {name}:{port}\n", proxy)
        [found] = JOBS[name]["dns_sd_configs"]
        assert (found["names"], found["port"]) == ([name], port)
        assert f"name: {name}\n" in read(f"kubernetes/base/{name}.yaml")
        assert f"containerPort: {port}" in read(f"kubernetes/base/{name}.yaml")


def test_every_job_is_a_service_of_compose() -> None:
    """Prometheus asks nobody whom compose does not start."""
    assert JOBS.keys() <= COMPOSE.keys()


def test_who_writes_and_reads_a_topic_is_there() -> None:
    """Producers and consumers of the contracts are services, or the command line."""
    for topic in TOPICS.values():
        assert {*topic.producers, *topic.consumers} <= SERVICES | {"atalaia"}, topic.name


def test_topics_are_named_alike() -> None:
    """The README's table, Strimzi's resources and what the services make have the contracts' topics and no others."""
    table = set(
        re.findall(r"^\| `([a-z-]+)` \|", read("README.md").split("<!-- flow:end -->")[0], re.MULTILINE)
    )
    assert table == TOPICS.keys()
    documents = yaml.safe_load_all(read("kubernetes/components/strimzi-topics/topics.yaml"))
    strimzi = {each["metadata"]["name"] for each in documents}
    assert strimzi == {topic.name for topic in wanted_topics(12)}
    assert strimzi == {name for topic in TOPICS.values() for name in (topic.name, topic.dlq)}


def test_consumer_groups_are_named_alike() -> None:
    """What may be permitted is what the services join."""
    from drift_monitor.bootstrap import GROUP as MONITORS
    from feedback.bootstrap import GROUP as JOINERS

    assert {MONITORS, JOINERS} == set(GROUPS)


def test_every_client_of_kafka_is_let_in_by_the_settings() -> None:
    """None is made with an address alone, which a cluster that asks for a login would send away."""
    sources = [path for part in ("packages", "services") for path in (ROOT / part).glob("*/src/**/*.py")]
    made = {path.name for path in sources if "bootstrap_servers" in path.read_text(encoding="utf-8")}
    assert made == {"kafka_access.py", "brokers.py"}  # the second starts a cluster of its own


def jobs_in(text: str) -> set[str]:
    """The jobs that its queries name; a value with a variable of Grafana's names none."""
    values = re.findall(r'\bjob=~?"([^"$]+)"', text.replace('\\"', '"'))
    return {name for value in values for name in value.split("|")}


def test_dashboards_ask_for_jobs_that_are_there() -> None:
    """Panels, rules and runbooks name each of our jobs, and no other; of topics and groups their queries name none."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "grafana").rglob("*.json"))]
    assert len(texts) == len(BOARDS)
    texts += [read(f"prometheus/rules/{name}.yml") for name in ("alerts", "recording")] + [
        read("docs/runbooks.md")
    ]
    found = set().union(*map(jobs_in, texts))
    assert found >= SERVICES
    assert found <= JOBS.keys()
    assert not any(re.search(r'\b(topic|group)\s*(=|!=|=~|!~)\s*\\?"', text) for text in texts)


def test_a_job_in_a_query_is_seen() -> None:
    """The check can fail: in JSON's quotes and in YAML's, alone and among others."""
    assert jobs_in(r'up{job=\"predictor\"} + up{job=~"feedback|trainor", instance="a"}') == {
        "predictor",
        "feedback",
        "trainor",
    }
    assert jobs_in('up{job="$job"}') == set()


def test_papers_name_what_compose_starts() -> None:
    """docs/compose.md has a line for each service, and no other; the README names the first command."""
    rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", read("docs/compose.md"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)]
    assert sorted(named) == sorted(COMPOSE)
    assert "docker compose up --wait" in read("README.md")
    architecture = read("ARCHITECTURE.md")
    assert all(name in architecture for name in SERVICES)


def test_the_environment_files_name_what_compose_asks() -> None:
    """Every variable of compose.yml stands in .env.example or in what makes three brokers, and no other; no secret has a value."""
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", read("compose.yml")))
    lines = [
        line.split("=", 1)
        for name in (".env.example", "docker/three-brokers.env")
        for line in read(name).splitlines()
        if "=" in line and line[0] != "#"
    ]
    assert {name for name, _ in lines} - {"COMPOSE_PROFILES"} == asked
    assert not [name for name, value in lines if value and name.endswith(("PASSWORD", "KEY"))]


def test_published_ports_are_those_of_the_papers() -> None:
    """A port that compose publishes by default stands in the line of its service."""
    lines = {
        name: line
        for line in read("docs/compose.md").splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z0-9-]+)`", line.split("|")[1])
    }
    for name, service in COMPOSE.items():
        for published in service.get("ports", []):
            [port] = re.findall(r":-(\d+)\}", published)
            assert port in lines[name], (name, port)
