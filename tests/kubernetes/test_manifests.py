"""The manifests are valid, name what the services have, and give their containers no more than they need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from atalaia.cli import app
from click import unstyle
from contracts.flow import load_topics
from servicekit.config import Settings
from servicekit.http import Health, make_ops_routes
from servicekit.strimzi import topics, user
from servicekit.topics import GROUPS, wanted_topics
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kubernetes"
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "src").is_dir())
SUPPORTED = ("1.33.0", "1.37.0")  # the oldest that is still looked after, and the newest
TOPICS = FOLDER / "components" / "strimzi-topics" / "topics.yaml"
USER = FOLDER / "components" / "strimzi-user" / "user.yaml"


def read(path: Path) -> list[dict[str, Any]]:
    """The resources of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


MANIFESTS = [p for p in sorted((FOLDER / "base").glob("*.yaml")) if p.name != "kustomization.yaml"]
BASE = [resource for path in MANIFESTS for resource in read(path)]
WORKLOADS = {r["metadata"]["name"]: r for r in BASE if r["kind"] in ("Deployment", "StatefulSet")}
[JOB] = [r["spec"]["jobTemplate"] for r in BASE if r["kind"] == "CronJob"]
PODS = {name: r["spec"]["template"]["spec"] for name, r in (WORKLOADS | {"first-model": JOB}).items()}


def containers(workload: dict[str, Any], kind: str = "containers") -> list[dict[str, Any]]:
    """Those of its pod."""
    found: list[dict[str, Any]] = workload["spec"]["template"]["spec"].get(kind, [])
    return found


def secrets(container: dict[str, Any]) -> set[str]:
    """The Secrets that a container's environment is made of."""
    return {each["secretRef"]["name"] for each in container.get("envFrom", []) if "secretRef" in each}


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_resource_is_valid(version: str) -> None:
    """Kubernetes's own schemas take each, and no field is one that they do not know."""
    for resource in BASE:
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelt_field_is_not_valid() -> None:
    """The check can fail."""
    [service] = [r for r in read(FOLDER / "base" / "trainer.yaml") if r["kind"] == "Service"]
    service["spec"]["selektor"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, SUPPORTED[1], strict=True)


def test_each_service_is_there_under_its_name() -> None:
    """A workload, a Service and a label a service, at the port of the settings, started as its module."""
    assert sorted(WORKLOADS) == SERVICES
    doors = {r["metadata"]["name"]: r["spec"] for r in BASE if r["kind"] == "Service"}
    for name, workload in WORKLOADS.items():
        [container] = containers(workload)
        port = Settings.model_fields[f"{name.replace('-', '_')}_port"].default
        assert container["args"] == ["python", "-m", name.replace("-", "_")]
        assert [p["containerPort"] for p in container["ports"]] == [port]
        assert [p["port"] for p in doors[name]["ports"]] == [port]
        pod = workload["spec"]["template"]["metadata"]
        assert doors[name]["selector"] == workload["spec"]["selector"]["matchLabels"] == pod["labels"]
        assert pod["annotations"]["prometheus.io/port"] == str(port)
        if workload["kind"] == "StatefulSet":
            assert doors[workload["spec"]["serviceName"]]["clusterIP"] == "None"


def test_probes_ask_what_the_services_answer() -> None:
    """Live and ready are routes that every service has; ready is not asked of what shall be killed."""
    routes = {route.path for route in make_ops_routes(Health())}
    for name, workload in WORKLOADS.items():
        [container] = containers(workload)
        paths = {
            kind: container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "liveness", "readiness")
        }
        assert set(paths.values()) <= routes, name
        assert (paths["liveness"], paths["readiness"]) == ("/health/live", "/health/ready"), name


def test_requests_are_taken_until_none_is_sent() -> None:
    """Whoever takes requests goes on while the nodes' proxies learn of the end, and has time to drain after that."""
    for name in ("predictor", "feedback"):
        [container] = containers(WORKLOADS[name])
        waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = WORKLOADS[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert 5 <= waits <= grace - 30, name


def test_no_container_may_more_than_it_needs() -> None:
    """No root, no writing but to volumes, no capabilities, no token of the cluster; requests and a memory limit."""
    for name, pod in PODS.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"] is True, name
            assert allowed["allowPrivilegeEscalation"] is False, name
            assert allowed["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_every_setting_is_one_and_none_is_secret() -> None:
    """What the base and the overlays set are settings; credentials come from a Secret that is not in the repository."""
    lines = (FOLDER / "base" / "settings.env").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line and not line.startswith("#")]
    for overlay in (FOLDER / "overlays").glob("*/kustomization.yaml"):
        for made in yaml.safe_load(overlay.read_text(encoding="utf-8"))["configMapGenerator"]:
            given += made["literals"] if made["name"] == "atalaia-settings" else []
    settings = {f"ATALAIA_{name.upper()}" for name in Settings.model_fields}
    assert {line.partition("=")[0] for line in given} - settings == set()
    assert [r for r in BASE if r["kind"] == "Secret"] == []


def test_only_what_trains_has_the_credentials_of_training() -> None:
    """MLflow's are everybody's; S3's are the trainer's and the first model's, git's theirs and only as a file."""
    for name, pod in PODS.items():
        [container] = pod["containers"]
        trains = name in ("trainer", "first-model")
        own = {"atalaia-trainer-credentials"} if trains else set()
        assert secrets(container) == {"atalaia-credentials"} | own, name
        mounted = [v["secret"] for v in pod["volumes"] if "secret" in v]
        assert mounted == (
            [{"secretName": "atalaia-git", "optional": True, "defaultMode": 0o440}] if trains else []
        )
        for clone in pod.get("initContainers", []):
            assert secrets(clone) == set(), name
            assert {"name": "git", "mountPath": "/run/atalaia/git", "readOnly": True} in clone["volumeMounts"]
            assert {"configMapRef": {"name": "atalaia-git-config"}} in clone["envFrom"]


@pytest.mark.parametrize("there", [True, False])
def test_git_finds_its_credentials_and_changes_none(tmp_path: Path, there: bool) -> None:
    """As git is set up in the pod, each host gets its own, and none without the Secret; nothing is ever written."""
    lines = (FOLDER / "base" / "git.env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    file = tmp_path / "credentials"
    assert "/run/atalaia/git/credentials" in given["GIT_CONFIG_VALUE_0"]
    given["GIT_CONFIG_VALUE_0"] = given["GIT_CONFIG_VALUE_0"].replace(
        "/run/atalaia/git/credentials", str(file)
    )
    content = "https://reader:p%40ss@git.example.com\nhttps://other:word@elsewhere.example.com\n"
    if there:
        file.write_text(content)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", **given}

    def ask(what: str, host: str, more: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "credential", what], input=f"protocol=https\nhost={host}\n{more}\n",
            env=env, cwd=tmp_path, capture_output=True, text=True, check=False, start_new_session=True,
        )  # fmt: skip

    answer = ask("fill", "git.example.com")
    assert ("password=p@ss" in answer.stdout.splitlines(), answer.returncode == 0) == (there, there)
    assert ask("fill", "evil.example.com").returncode != 0
    for what in ("approve", "reject"):
        done = ask(what, "git.example.com", "username=reader\npassword=new\n")
        assert (done.returncode, done.stderr) == (0, "")
    assert (file.read_text() if file.exists() else None) == (content if there else None)


def test_the_project_is_cloned_where_git_trusts_it(tmp_path: Path) -> None:
    """Into a folder that the clone makes, not the volume's own, which is root's; again where a killed one left a part."""
    [line] = [
        s for s in (FOLDER / "base" / "settings.env").read_text().splitlines() if "ATALAIA_PROJECT=" in s
    ]
    folder = line.partition("=")[2]
    volume = tmp_path / "volume"
    (volume / "repository" / "half").mkdir(parents=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "--quiet", "theirs"], cwd=tmp_path, check=True)
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message", "begin"]
    subprocess.run(commit, cwd=tmp_path / "theirs", check=True)
    for name in ("trainer", "first-model"):
        [clone] = PODS[name]["initContainers"]
        mounts = {m["name"]: m["mountPath"] for m in clone["volumeMounts"]}
        assert Path(folder).parent == Path(mounts["project"])
        command = [part.replace("/project/", f"{volume}/") for part in clone["args"]]
        subprocess.run(command, env=os.environ | {"REPOSITORY": str(tmp_path / "theirs")}, check=True)
        assert [path.name for path in (volume / "repository").iterdir()] == [".git"]


def test_the_first_models_job_is_run_by_hand_and_as_the_trainer() -> None:
    """It never comes by itself, takes the trainer's image, settings and project, and the command that there is."""
    [cron] = [r["spec"] for r in BASE if r["kind"] == "CronJob"]
    assert cron["suspend"] is True
    job, trainer = PODS["first-model"], PODS["trainer"]
    assert job["initContainers"] == trainer["initContainers"]
    assert job["containers"][0]["image"] == trainer["containers"][0]["image"]
    assert {"configMapRef": {"name": "atalaia-settings"}} in job["containers"][0]["envFrom"]
    program, command, *options = job["containers"][0]["args"]
    assert (program, command) == ("atalaia", "first-model")
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert all(option in unstyle(done.output) for option in options if option.startswith("--"))


def test_what_must_outlive_a_pod_does() -> None:
    """The spool, the join's state and the trainer's clones are on claims; there is one trainer at a time."""
    for name in ("predictor", "feedback"):
        [claim] = WORKLOADS[name]["spec"]["volumeClaimTemplates"]
        assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/atalaia"} in containers(
            WORKLOADS[name]
        )[0]["volumeMounts"]
    trainer = WORKLOADS["trainer"]["spec"]
    assert (trainer["replicas"], trainer["strategy"]) == (1, {"type": "Recreate"})
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "trainer"}} in trainer["template"]["spec"][
        "volumes"
    ]


def test_the_predictor_scales_and_keeps_its_pods() -> None:
    """The autoscaler and the budgets name workloads that there are, and nobody else sets the predictor's replicas."""
    budgets = {r["metadata"]["name"]: r["spec"] for r in BASE if r["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == {"predictor", "feedback", "drift-monitor"}
    for name, budget in budgets.items():
        assert budget["selector"] == WORKLOADS[name]["spec"]["selector"]
    [scaler] = [r for r in BASE if r["kind"] == "HorizontalPodAutoscaler"]
    target = scaler["spec"]["scaleTargetRef"]
    assert WORKLOADS[target["name"]]["kind"] == target["kind"] == "StatefulSet"
    assert "replicas" not in WORKLOADS["predictor"]["spec"]


def test_strimzis_topics_are_the_contracts() -> None:
    """The manifest is current, and has each topic and its dead letters with partitions and configuration as stated."""
    assert TOPICS.read_text(encoding="utf-8") == topics()
    stated = {r["metadata"]["name"]: r["spec"] for r in read(TOPICS)}
    contracts = load_topics().values()
    assert set(stated) == {topic.name for topic in contracts} | {topic.dlq for topic in contracts}
    for topic in contracts:
        assert stated[topic.name]["partitions"] == (12 if topic.partitioned else 1)
        written = {name: str(value) for name, value in stated[topic.name]["config"].items()}
        assert written == {"message.timestamp.type": "LogAppendTime", **topic.config}
    assert len(stated) == len(wanted_topics(12))


def test_strimzis_user_may_do_what_the_services_do() -> None:
    """The manifest is current, and permits all topics and the groups, by name; the loop is closed so in ``test_secured_loop``."""
    assert USER.read_text(encoding="utf-8") == user()
    [stated] = read(USER)
    acls = stated["spec"]["authorization"]["acls"]
    named = {(acl["resource"]["type"], acl["resource"]["name"]): set(acl["operations"]) for acl in acls}
    wanted = {("topic", topic.name): {"Create", "Describe", "Read", "Write"} for topic in wanted_topics(12)}
    assert named == wanted | {("group", name): {"Describe", "Read"} for name in GROUPS}
