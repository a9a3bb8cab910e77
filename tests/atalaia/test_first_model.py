"""The first model: made once, and never in the way of a platform that has one."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from atalaia import first_model
from atalaia.first_model import pipeline, prepare
from atalaia.processes import Child
from atalaia.project import Project, repository_of
from contracts.events import ModelChanged
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import ModelBundle
from servicekit.topic_log import read_events

FAILS = "stages: {train: {cmd: exit 3, always_changed: true}}"


@dataclass
class FakeRegistry:
    """A registry with versions up to its champion, as ``Registry`` would say; or one whose rows were lost."""

    version: str | None = None
    asked: int = 0
    lost: bool = False
    uri: str = "http://registry"

    def __call__(self, uri: str) -> FakeRegistry:
        """In the place of the class."""
        return self

    def champion(self, model: str) -> str | None:
        """The version, whatever the model."""
        self.asked += 1
        return self.version

    def versions(self, model: str) -> list[str]:
        """All up to the champion's."""
        return [] if self.lost else [str(n + 1) for n in range(int(self.version or 0))]

    def bundle(self, model: str, version: str) -> ModelBundle:
        """What an announcement is made of."""
        return ModelBundle(model, version, b"onnx", "5ha", f"models:/{model}/{version}", {"features": []}, [])


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """A real broker's address."""
    with EmbeddedKafka() as running:
        yield running.bootstrap


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """In the place of MLflow's."""
    made = FakeRegistry()
    monkeypatch.setattr(first_model, "Registry", made)
    return made


@pytest.fixture
def project(
    tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Project:
    """A project whose pipeline fails, with a model of each test's own."""
    monkeypatch.setenv("ATALAIA_KAFKA", kafka)
    monkeypatch.setenv("ATALAIA_MODEL", request.node.name)
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "params.yaml").write_text("package: toy")
    (folder / "dvc.yaml").write_text(FAILS)
    return Project(folder, "toy")


def announced(kafka: str, model: str) -> list[str]:
    """The versions that ``model-events`` names, in order."""
    events = asyncio.run(read_events(Settings(kafka=kafka), "model-events", ModelChanged))
    return [event.version for event in events if event.model == model]


@pytest.mark.kafka
def test_a_pipeline_that_fails_is_no_matter_where_a_version_serves(
    project: Project, registry: FakeRegistry, kafka: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A champion is announced, and then left as it is: the pipeline is not run, the trainer's repository is up to date."""
    registry.version = "7"
    said: list[str] = []
    assert prepare(project, tmp_path / "data", said.append) == "7"
    (project.folder / "params.yaml").write_text("package: toy\nseed: 2")
    registry.version, registry.asked = "8", 0  # model-events is the truth, not the alias
    assert prepare(project, tmp_path / "data", said.append) == "7"
    assert registry.asked == 0
    assert announced(kafka, request.node.name) == ["7"]
    assert said == ["preparing the project's own repository", f"waiting for Kafka at {kafka}"] * 2
    assert not (tmp_path / "data" / "logs").exists()
    assert "seed: 2" in (tmp_path / "data" / "project" / "params.yaml").read_text()


@pytest.mark.kafka
def test_a_registry_that_was_lost_is_said(
    project: Project, registry: FakeRegistry, kafka: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A version serves by the topic that the registry does not have: nothing is trained over it, and it does not look well."""
    registry.version = "7"
    prepare(project, tmp_path / "data", lambda _: None)
    registry.lost = True
    with pytest.raises(UserError, match=r"Version 7 of .* has no such version"):
        prepare(project, tmp_path / "data", lambda _: None)
    assert announced(kafka, request.node.name) == ["7"]


@pytest.mark.kafka
@pytest.mark.parametrize("serves", [False, True])
def test_a_registry_that_does_not_answer_is_one_line(
    project: Project, kafka: str, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch, serves: bool,
) -> None:  # fmt: skip
    """MLflow's own client and nothing at its address: the line names it, whether or not a version serves."""
    if serves:
        with monkeypatch.context() as patch:
            patch.setattr(first_model, "Registry", FakeRegistry("7"))
            prepare(project, tmp_path / "data", lambda _: None)
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("ATALAIA_MLFLOW", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    what = "versions" if serves else "champion"
    line = f"the registry at {address} (ATALAIA_MLFLOW) does not give the {what} of {request.node.name}: "
    with pytest.raises(UserError, match=re.escape(line)):
        prepare(project, tmp_path / "data", lambda _: None)
    assert announced(kafka, request.node.name) == (["7"] if serves else [])


@pytest.mark.kafka
def test_a_pipeline_that_fails_is_said_where_nothing_serves(
    project: Project, registry: FakeRegistry, kafka: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The first start needs it: its log's end is in the error, and nothing is announced."""
    with pytest.raises(UserError, match=r"(?s)first model's pipeline .* failed with code .*first-model.log"):
        prepare(project, tmp_path / "data", lambda _: None)
    assert announced(kafka, request.node.name) == []


def test_the_first_training_has_the_time_that_the_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: FakeRegistry
) -> None:
    """ATALAIA_TRAINING_TIMEOUT_S, as every later one: what takes longer is ended and said."""
    monkeypatch.setenv("ATALAIA_TRAINING_TIMEOUT_S", "1")
    monkeypatch.setattr(first_model, "wait_for_kafka", _nothing)
    monkeypatch.setattr(first_model, "ensure_topics", _nothing)
    monkeypatch.setattr(first_model, "served", _nothing)
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "params.yaml").write_text("package: toy")
    (folder / "dvc.yaml").write_text("stages: {train: {cmd: sleep 100}}")
    with pytest.raises(UserError, match=r"pipeline \(dvc repro\) did not finish within 1 s"):
        prepare(Project(folder, "toy"), tmp_path / "data", lambda _: None)


async def _nothing(*_: object) -> None:
    """Answers at once."""


def test_a_pipeline_is_ended_where_what_is_done_beside_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No broker, no training that goes on alone."""
    children: list[Child] = []

    def begun(*given: Any, **named: Any) -> Child:
        children.append(Child(*given, **named))
        return children[-1]

    monkeypatch.setattr(first_model, "Child", begun)
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "params.yaml").write_text("package: toy")
    (folder / "dvc.yaml").write_text("stages: {train: {cmd: sleep 100}}")
    copy = repository_of(Project(folder, "toy"), tmp_path / "data")
    running: list[bool] = []

    def meanwhile() -> None:
        with pipeline(copy, os.environ, tmp_path / "log", 60):
            running.append(children[0].running)
            raise UserError("no broker")

    with pytest.raises(UserError, match="no broker"):
        meanwhile()
    assert running == [True]
    assert not children[0].running


def test_looking_for_services_imports_no_broker() -> None:
    """``atalaia demo --running`` starts nothing, and needs no package of what starts Kafka."""
    code = (
        "import sys, atalaia.running; print('servicekit.broker' in sys.modules, 'atalaia.up' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
