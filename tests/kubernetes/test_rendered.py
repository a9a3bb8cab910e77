"""What kustomize makes of each overlay is what kubeconform accepts, and hangs together."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from real_prometheus import ROOT, tool
from servicekit.config import read_settings

pytestmark = pytest.mark.tools

OVERLAYS = sorted(path.parent for path in (ROOT / "kubernetes" / "overlays").glob("*/kustomization.yaml"))
VERSION = "1.37.0"
KINDS = (
    "namespace-v1.json",
    "service-v1.json",
    "configmap-v1.json",
    "persistentvolumeclaim-v1.json",
    "deployment-apps-v1.json",
    "statefulset-apps-v1.json",
    "cronjob-batch-v1.json",
    "poddisruptionbudget-policy-v1.json",
    "horizontalpodautoscaler-autoscaling-v2.json",
)
SHIPPED = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"


def rendered(overlay: Path) -> str:
    """What would be applied."""
    command = [tool("kustomize"), "build", str(overlay)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas as kubeconform looks for them, from the package that ships them: none is fetched.

    Their references from one file to another do not compile there, so what they lead to is put in their place.
    """
    folder = tmp_path_factory.mktemp("schemas")
    definitions = json.loads((SHIPPED / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    for name in KINDS:
        schema = whole(json.loads((SHIPPED / name).read_text(encoding="utf-8")), definitions)
        (folder / name).write_text(json.dumps(schema), encoding="utf-8")
    for kind in ("kafkatopic", "kafkauser"):
        shutil.copy(Path(__file__).parent / f"{kind}.json", folder / f"{kind}-kafka-v1.json")
    return folder


def whole(node: Any, definitions: dict[str, Any]) -> Any:
    """A schema with each reference replaced by what it leads to."""
    if isinstance(node, list):
        return [whole(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(found := node.get("$ref"), str):
        return whole(definitions[found.rpartition("/")[2]], definitions)
    return {key: whole(value, definitions) for key, value in node.items() if key != "$schema"}


def conforms(schemas: Path, resources: str) -> tuple[int, dict[str, Any]]:
    """kubeconform's exit code and its summary."""
    where = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [tool("kubeconform"), "-strict", "-summary", "-output", "json", "-schema-location", where]
    done = subprocess.run(command, input=resources, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_kubeconform_accepts_each_overlay(overlay: Path, schemas: Path) -> None:
    """Every resource has a schema and fits it; none is skipped."""
    text = rendered(overlay)
    code, said = conforms(schemas, text)
    assert said.get("resources", []) == []
    assert code == 0
    assert said["summary"] == {
        "valid": len(list(yaml.safe_load_all(text))),
        "invalid": 0,
        "errors": 0,
        "skipped": 0,
    }


def test_kubeconform_refuses_what_is_wrong(schemas: Path) -> None:
    """The check can fail: a field that Kubernetes does not know, a topic with a field of no topic, a user permitted what there is not."""
    text = rendered(OVERLAYS[-1])
    for old, new in (
        ("readinessProbe:", "readynessProbe:"),
        ("  partitions: 12", "  partition: 12"),
        ("      - Read\n", "      - Reads\n"),
    ):
        assert old in text
        code, said = conforms(schemas, text.replace(old, new))
        assert code == 1
        assert said["summary"]["invalid"] > 0


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_names_lead_somewhere(overlay: Path) -> None:
    """All is in one namespace, no image is the placeholder, and every ConfigMap, claim and volume that is named is there."""
    resources = list(yaml.safe_load_all(rendered(overlay)))
    [space] = [r["metadata"]["name"] for r in resources if r["kind"] == "Namespace"]
    assert {r["metadata"].get("namespace") for r in resources if r["kind"] != "Namespace"} == {space}
    there = {(r["kind"], r["metadata"]["name"]) for r in resources}
    for resource in resources:
        if resource["kind"] not in ("Deployment", "StatefulSet", "CronJob"):
            continue
        spec = resource["spec"]
        pod = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
        volumes = {each["name"] for each in [*pod["volumes"], *_claims(spec)]}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert ":" in container["image"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    assert ("ConfigMap", source["configMapRef"]["name"]) in there
            for variable in container.get("env", []):
                if key := variable.get("valueFrom", {}).get("configMapKeyRef"):
                    assert ("ConfigMap", key["name"]) in there
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in there


def test_a_login_at_strimzis_brokers_is_in_each_pod() -> None:
    """Its files are where the settings look for them, in every container that has the settings."""
    resources = list(yaml.safe_load_all(rendered(ROOT / "kubernetes" / "overlays" / "production")))
    [settings] = [
        r["data"]
        for r in resources
        if r["kind"] == "ConfigMap" and r["metadata"]["name"].startswith("atalaia-settings")
    ]
    files = {
        value
        for name, value in settings.items()
        if name.startswith("ATALAIA_KAFKA_") and name.endswith("_FILE")
    }
    [user] = [r["metadata"]["name"] for r in resources if r["kind"] == "KafkaUser"]
    assert settings["ATALAIA_KAFKA_USERNAME"] == user
    read_settings(**{name.removeprefix("ATALAIA_").lower(): value for name, value in settings.items()})
    workloads = [r for r in resources if r["kind"] in ("Deployment", "StatefulSet", "CronJob")]
    assert len(workloads) == 5
    for resource in workloads:
        spec = resource["spec"]
        pod = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
        [container] = pod["containers"]
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "kafka"]
        [volume] = [each["projected"] for each in pod["volumes"] if each["name"] == "kafka"]
        sources = [each["secret"] for each in volume["sources"]]
        assert {source["name"] for source in sources} == {user, "kafka-cluster-ca-cert"}
        there = {f"{mount['mountPath']}/{item['path']}" for source in sources for item in source["items"]}
        assert there == files


def _claims(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What a StatefulSet's pods have of their own."""
    return [each["metadata"] for each in spec.get("volumeClaimTemplates", [])]
