"""The trainer's process on real Kafka, MLflow, git and DVC: the four ends, and what a crash leaves."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import TopicPartition
from atalaia.model.reproduce import Reproduction, tags_of
from atalaia.model.rollback import announce, changes, prepare
from contracts.codec import decode
from contracts.events import (
    AlertChanged,
    ChallengerChanged,
    Event,
    ModelChanged,
    OutcomesJoined,
    PredictionsMade,
    PromotionReviewed,
    QualityReported,
    TrainingDecided,
    WindowTested,
)
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, make_producer, publish
from servicekit.provenance import made_with, snapshot_sha256
from servicekit.registry import Registry
from servicekit.topics import ensure_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]  # a minute in all, on two cores
MODEL, STEP = "toy-model", 1_000


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 240) -> Any:
    """What ``condition`` gives once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds} s")


def get(url: str) -> Any:
    """JSON at a URL, or None while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.loads(answer.read() or b"{}")
    except (OSError, ValueError):
        return None


class World:
    """Broker, registry, a toy project with a first champion, and a trainer that can be started and killed."""

    def __init__(self, folder: Path, kafka: str, mlflow: str) -> None:
        self.folder, self.mlflow = folder, mlflow
        self.project = folder / "project"
        self.env = {
            **os.environ,
            "ATALAIA_KAFKA": kafka,
            "ATALAIA_MLFLOW": mlflow,
            "MLFLOW_TRACKING_URI": mlflow,  # else another test's, which MLflow's client left behind
            "MLFLOW_REGISTRY_URI": mlflow,
            "ATALAIA_MODEL": MODEL,
            "ATALAIA_PROJECT": str(self.project),
            "ATALAIA_DATA_DIR": str(folder / "data"),
            "ATALAIA_PARTITIONS": "2",
            "ATALAIA_TRAINER_PORT": str(free_port()),
            "ATALAIA_MIN_TRAIN_ROWS": "100",
            "ATALAIA_WINDOW_MS": str(STEP),
            "ATALAIA_SPAN_MS": str(STEP),
            "TOY_HOLD": str(folder / "hold"),
            "PYTHONPATH": os.pathsep.join([*sys.path, str(self.project / "src")]),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.settings = Settings(kafka=kafka, mlflow=mlflow, model=MODEL, partitions=2)
        self.registry = Registry(mlflow)
        self.trainer: subprocess.Popen[bytes] | None = None
        self.hold = folder / "hold"  # while it is there, publishing waits after its MLflow run has begun
        self.hold_train = folder / "hold.train"  # likewise the train stage, which writes "held" there
        self.rows = 0

    def runs(self, run_id: str | None = None) -> list[Any]:
        """MLflow's runs of a training; by default those without an end."""
        client = self.registry.client()
        asked = "status = 'RUNNING'" if run_id is None else f"tags.training_run = '{run_id}'"
        found: list[Any] = client.search_runs([e.experiment_id for e in client.search_experiments()], asked)
        return found

    def install(self) -> None:
        """The first champion, by the project's own pipeline."""
        shutil.copytree(
            Path(__file__).parent / "project", self.project, ignore=shutil.ignore_patterns("__pycache__")
        )
        subprocess.run(["git", "init", "--quiet"], cwd=self.project, check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=self.project, check=True)
        commit(self, "The project")
        run = {"cwd": self.project, "env": self.env, "check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([sys.executable, "-m", "toy.train"], **run)  # type: ignore[call-overload]
        subprocess.run([sys.executable, "-m", "toy.publish", "--champion"], **run)  # type: ignore[call-overload]
        bundle = self.registry.bundle(MODEL, "1")
        asyncio.run(ensure_topics(self.settings.model_copy(update={"partitions": 2})))
        self.say(
            (
                "model-events",
                ModelChanged(
                    model=MODEL,
                    version="1",
                    previous_version=None,
                    action="installed",
                    artifact_uri=bundle.artifact_uri,
                    sha256=bundle.sha256,
                    effective_from=0,
                    reason="first",
                ),
            )
        )

    def start(self) -> None:
        """Start the trainer and wait until it has caught up."""
        with (self.folder / "trainer.log").open("ab") as log:
            self.trainer = subprocess.Popen(
                [sys.executable, "-m", "trainer"], env=self.env, stdout=log, stderr=log
            )
        wait_for("a ready trainer", lambda: get(self.url("/health/ready")))

    def kill(self, how: int = signal.SIGKILL) -> int:
        """End the trainer."""
        assert self.trainer is not None
        self.trainer.send_signal(how)
        return self.trainer.wait(30)

    def url(self, path: str) -> str:
        """An address of the trainer."""
        return f"http://127.0.0.1:{self.env['ATALAIA_TRAINER_PORT']}{path}"

    def say(self, *events: tuple[str, Event]) -> None:
        """Publish events in order."""

        async def send() -> None:
            producer = await make_producer(self.settings, "test")
            for topic, event in events:
                await publish(producer, topic, event, source="test", key=MODEL)
            await producer.stop()

        asyncio.run(send())

    def read(self, topic: str, kind: type[Any]) -> list[Any]:
        """All events of a topic."""

        async def receive() -> list[Any]:
            consumer = make_consumer(self.settings)
            await consumer.start()
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            found: list[Any] = []
            while len(found) < end:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [decode(kind, r.value, r.headers) for r in records]
            await consumer.stop()
            return found

        return asyncio.run(receive())

    def window(
        self, k: int, version: str, rows: int, limit: float, alert: str | None = None, since: int = 0
    ) -> None:
        """All that is said about window k: ``rows`` labelled rows whose truth is x > ``limit``."""
        start, end = k * STEP, (k + 1) * STEP
        dice = random.Random(k)
        x = [round(dice.uniform(-4, 4), 3) for _ in range(rows)]
        times = [start + i * STEP // max(rows, 1) for i in range(rows)]
        said: list[tuple[str, Event]] = []
        if rows:
            outcome = OutcomesJoined(
                model=MODEL,
                version=version,
                prediction_id=[f"{k:032x}.{i}" for i in range(rows)],
                event_time=times,
                label_time=times,
                features={"x": x, "kind": [dice.choice(["a", "b"]) for _ in x]},
                predictions=[0] * rows,
                probabilities=None,
                truth=[int(v > limit) for v in x],
                corrected_from=[None] * rows,
                revision=[0] * rows,
            )
            said.append(("outcomes", outcome))
        if alert:
            change = AlertChanged(
                alert_id=alert,
                model=MODEL,
                version=version,
                kind="virtual",
                state="drift",
                previous="ok",
                since=since,
                window_start=start,
                window_end=end,
                features={},
                offsets={},
                reason="x drifted",
            )
            said.append(("drift-alerts", change))
        tested = WindowTested(
            model=MODEL,
            version=version,
            window_start=start,
            window_end=end,
            final=True,
            rows=rows,
            late_rows=0,
            status="drift" if alert else "ok",
            state="drift" if alert else "ok",
            alert_id=alert,
            alpha=0.01,
            correction="bh",
            min_effect=0.1,
            features={},
        )
        quality = QualityReported(
            model=MODEL,
            version=version,
            window_start=start,
            window_end=end,
            as_of=end,
            revision=0,
            final=False,
            predicted=rows,
            labelled=rows,
            coverage=1.0,
            label_delay_mean=1.0,
            metrics={},
            confusion=None,
        )
        said += [("drift-reports", tested), ("quality-reports", quality)]
        self.say(*said)

    def considered(self, k: int) -> dict[str, Any]:
        """The status once window k has been considered."""

        def look() -> Any:
            assert self.trainer is not None
            assert self.trainer.poll() is None, (self.folder / "trainer.log").read_text()[-3000:]
            status = get(self.url("/api/v1.0/status"))
            return status if status and (status["considered_through"] or 0) >= (k + 1) * STEP else None

        found: dict[str, Any] = wait_for(f"the decision about window {k}", look)
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with version 1 as its champion."""
    folder = tmp_path_factory.mktemp("trainer")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "atalaia.guard",
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "artifacts"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    made = None
    try:
        with EmbeddedKafka() as kafka:
            wait_for("MLflow", lambda: urllib_ok(f"http://127.0.0.1:{port}/health"))
            made = World(folder, kafka.bootstrap, f"http://127.0.0.1:{port}")
            made.install()
            yield made
            if made.trainer is not None and made.trainer.poll() is None:
                made.kill()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def urllib_ok(url: str) -> bool:
    """Whether a URL answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def stage_of(world: World) -> Path:
    """The project's only stage."""
    return world.project / "src" / "toy" / "train.py"


def commit(world: World, message: str) -> None:
    """Commit the project as it is."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["add", "-A"], ["commit", "--quiet", "-m", message]):
        subprocess.run([*git, *command], cwd=world.project, check=True)


def test_each_way_to_end(world: World) -> None:
    """No alert: nothing; then waiting, failed, refused, promoted: each with its reason, only the last changes
    what serves."""
    world.start()
    world.window(0, "1", 50, 0.0)
    assert world.considered(0)["decisions"] == []

    world.window(1, "1", 60, 0.0, alert="A", since=STEP)
    waiting = world.considered(1)["decisions"][-1]
    assert waiting["decision"] == "waiting"
    assert waiting["reason"].startswith("waiting: 60 of 100 labelled rows since the change point")

    good = stage_of(world).read_text()
    stage_of(world).write_text("raise SystemExit('Error: the barrel is empty')")
    commit(world, "A broken stage")
    world.window(2, "1", 60, 0.0, alert="A", since=STEP)
    failed = world.considered(2)["decisions"][-1]
    assert failed["decision"] == "failed"
    assert failed["reason"].startswith("failed: dvc repro ended with exit code")
    assert "the barrel is empty" in failed["reason"]

    stage_of(world).write_text(good)
    commit(world, "Mended")
    world.window(3, "1", 10, 0.0, alert="A", since=STEP)  # what failed is tried again at once
    refused = world.considered(3)["decisions"][-1]
    assert refused["decision"] == "refused"
    assert refused["reason"].startswith("not ")
    assert refused["rows"] == {"labelled": 130, "needed": 100, "train": 50 + 98, "holdout": 32}
    assert world.registry.champion(MODEL) == "1"

    world.window(4, "1", 10, 0.0, alert="A", since=STEP)  # 140 rows: less than a quarter more
    assert len(world.considered(4)["decisions"]) == 3

    world.window(5, "1", 1000, 2.0, alert="B", since=5 * STEP)
    status = world.considered(5)
    promoted = status["decisions"][-1]
    assert promoted["decision"] == "promoted", promoted["reason"]
    assert promoted["gain"] > 0.2
    assert promoted["challenger_version"] == status["version"] == world.registry.champion(MODEL) == "3"
    changed = world.read("model-events", ModelChanged)[-1]
    assert (changed.version, changed.previous_version, changed.effective_from) == ("3", "1", 6 * STEP)
    assert changed.sha256 == world.registry.bundle(MODEL, "3").sha256
    tags = world.registry.tags(MODEL, "3")
    assert tags["training_run"] == promoted["run_id"]
    assert tags["dvc_revision"] == promoted["dvc_revision"]
    assert tags["trained_until"] == str(5 * STEP + 750)
    assert (tags["since"], tags["until"]) == (str(5 * STEP), str(6 * STEP))
    project = subprocess.run(["git", "rev-parse", "HEAD"], cwd=world.project, capture_output=True, text=True)
    assert tags["code_version"] == project.stdout.strip()
    assert {name: tags[name] for name in made_with()} == made_with()

    world.window(6, "3", 50, 2.0)
    assert len(world.considered(6)["decisions"]) == 4
    waiting_for = f"a final drift report of version 3 after {7 * STEP}"
    wait_for("the next wait", lambda: get(world.url("/api/v1.0/status"))["waiting_for"] == waiting_for, 30)
    recorded = world.read("training-runs", TrainingDecided)
    words = ["waiting", "started", "failed", "started", "refused", "started", "promoted"]
    assert [d.decision for d in recorded] == words


def test_a_restart_decides_nothing_again(world: World) -> None:
    """A trainer that was told to stop ends well, repairs the alias at its start and repeats no decision."""
    assert world.kill(signal.SIGTERM) == 0
    world.registry.set_champion(MODEL, "1")
    before = len(world.read("training-runs", TrainingDecided))
    world.start()
    world.window(7, "3", 50, 2.0)
    world.considered(7)
    assert len(world.read("training-runs", TrainingDecided)) == before
    assert world.registry.champion(MODEL) == "3"


@pytest.mark.parametrize(("step", "version"), [("snapshot", 4), ("register", 5), ("promote", 6)])
def test_a_killed_training_ends_as_if_it_had_not_been(world: World, step: str, version: int) -> None:
    """kill -9 while it trains, once it has registered or promoted: one run, one version, one decision.

    The first is killed once more, where its MLflow run has begun and holds no version: it is gone on with.
    The second is killed amid the train stage before.
    """
    k = 4 + version  # windows 8, 9, 10
    reached: dict[str, Callable[[], Any]] = {
        "snapshot": lambda: (
            list(world.folder.glob("data/trainer/*/clone/data/live/reference.parquet"))
            and get(world.url("/api/v1.0/status"))["running"]
        ),
        "register": lambda: len(world.registry.versions(MODEL)) == version,
        "promote": lambda: world.read("model-events", ModelChanged)[-1].version == str(version),
    }
    if step == "register":
        world.hold_train.touch()
    limit = 2.0 if version % 2 else -2.0
    world.window(k, str(version - 1), 3000, limit, alert=f"C{version}", since=k * STEP)
    if step == "register":
        wait_for("the train stage", lambda: world.hold_train.read_text() == "held")
        world.kill()
        world.hold_train.unlink()
        world.start()
    wait_for(step, reached[step])
    world.kill()
    if step == "snapshot":
        world.hold.touch()
        world.start()
        (begun,) = wait_for("an MLflow run without a version", world.runs)
        world.kill()
        world.hold.unlink()
    world.start()
    status = world.considered(k)
    promoted = status["decisions"][-1]
    assert promoted["decision"] == "promoted", promoted["reason"]
    (run,) = world.runs(promoted["run_id"])
    assert (run.info.run_id, run.info.status) == (promoted["mlflow_run_id"], "FINISHED")
    assert step != "snapshot" or run.info.run_id == begun.info.run_id
    assert world.runs() == []
    assert status["version"] == promoted["challenger_version"] == str(version)
    wait_for("the alias", lambda: world.registry.champion(MODEL) == str(version))
    assert len(world.registry.versions(MODEL)) == version
    assert [e.version for e in world.read("model-events", ModelChanged)].count(str(version)) == 1
    ends = [d for d in world.read("training-runs", TrainingDecided) if d.alert_id == f"C{version}"]
    assert [d.decision for d in ends if d.decision != "started"] == ["promoted"]


def test_a_rollback_by_hand_while_a_training_runs_holds(world: World) -> None:
    """The alias follows at once; the run that then wins against what serves no more is refused, and changes nothing."""
    world.hold.touch()
    world.window(11, "6", 3000, 2.0, alert="D", since=11 * STEP)
    wait_for("a training that publishes", world.runs)
    said = asyncio.run(changes(world.settings, MODEL))
    event = prepare(said, "", world.registry, "complaints", None).event
    asyncio.run(announce(world.settings, event, said[-1]))
    wait_for("the alias", lambda: world.registry.champion(MODEL) == "5", 10)
    assert get(world.url("/api/v1.0/status"))["running"]
    world.hold.unlink()
    status = world.considered(11)
    refused = status["decisions"][-1]
    assert refused["decision"] == "refused", refused["reason"]
    assert refused["reason"].startswith("version 5 serves now, not version 6 that was challenged; ")
    assert (refused["challenger_version"], status["version"], world.registry.champion(MODEL)) == (
        "7",
        "5",
        "5",
    )
    last = world.read("model-events", ModelChanged)[-1]
    assert (last.version, last.previous_version, last.action) == ("5", "6", "rolled_back")
    assert last.sha256 == world.registry.bundle(MODEL, "5").sha256


def test_a_winner_shadows_and_waits_for_a_person_through_crashes(world: World) -> None:
    """Killed in its shadow period and while it waits: one run, one version, and it serves once it was approved."""

    def pending(waits_for: str) -> Any:
        decisions = get(world.url("/api/v1.0/status"))["decisions"]
        return next((d for d in decisions if d["waits_for"] == waits_for), None)

    assert world.kill(signal.SIGTERM) == 0
    world.env |= {"ATALAIA_PROMOTION": "approve", "ATALAIA_SHADOW_ROWS": "50"}
    world.start()
    world.window(12, "5", 3000, -2.0, alert="E", since=12 * STEP)
    world.considered(12)
    shadows = pending("shadow")
    assert shadows["reason"].startswith(
        "waiting: no answers yet, 0 of 50 labelled rows of live traffic in shadow; better: "
    )
    (told,) = world.read("challengers", ChallengerChanged)
    assert (told.version, told.sha256) == ("8", world.registry.bundle(MODEL, "8").sha256)
    world.kill()
    world.start()
    said = PredictionsMade(
        batch_id="b" * 32, model=MODEL, version="8", event_time=[13 * STEP, 14 * STEP - 1], features={}, predictions=[0, 0]
    )  # fmt: skip
    world.say(("shadow-predictions", said))
    world.window(13, "5", 60, -2.0)
    world.considered(13)
    asks = wait_for("a run that asks", lambda: pending("approval"), 30)
    assert asks["reason"].startswith("waiting for approval: in shadow better: accuracy")
    assert (asks["run_id"], asks["rows"]["shadow"]) == (shadows["run_id"], 60)
    wait_for("its end", lambda: world.read("challengers", ChallengerChanged)[-1].version is None, 30)
    assert world.registry.champion(MODEL) == "5"
    world.kill()
    command = [sys.executable, "-m", "atalaia.cli", "approve", MODEL, "--reason", "read it", "--by", "us"]
    done = subprocess.run(command, env=world.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Version 8 of toy-model is to take the place of version 5." in done.stdout
    world.start()
    wait_for("the alias", lambda: world.registry.champion(MODEL) == "8", 60)
    wait_for("the record", lambda: get(world.url("/api/v1.0/status"))["pending"] is None, 60)
    last = world.read("training-runs", TrainingDecided)[-1]
    assert (last.run_id, last.decision) == (asks["run_id"], "promoted")
    assert last.reason.startswith("approved by us: read it; in shadow better: accuracy")
    (event,) = [e for e in world.read("model-events", ModelChanged) if e.version == "8"]
    assert (event.previous_version, event.effective_from) == ("5", 14 * STEP)
    assert len(world.registry.versions(MODEL)) == 8


def test_a_promoted_version_that_does_worse_is_rolled_back(world: World) -> None:
    """The world changes back to what its predecessor knows: after five windows one look, one event, and the alias follows."""
    for k in range(14, 19):
        world.window(k, "8", 40, 2.0)
        status = world.considered(k)
    assert status["version"] == world.registry.champion(MODEL) == "5"
    (look,) = world.read("promotion-reviews", PromotionReviewed)
    assert (look.version, look.previous_version, look.rows, look.verdict) == ("8", "5", 200, "rolled_back")
    assert look.high < 0
    event = world.read("model-events", ModelChanged)[-1]
    assert (event.action, event.version, event.previous_version) == ("rolled_back", "5", "8")
    assert (event.effective_from, event.reason) == (19 * STEP, look.reason)
    assert event.sha256 == world.registry.bundle(MODEL, "5").sha256


def test_a_version_is_made_again_bit_for_bit(world: World, tmp_path: Path) -> None:
    """From the registry and the remotes alone: the trainer's clone and cache are gone, and nothing is registered."""
    shutil.rmtree(world.folder / "data" / "trainer")
    before = world.registry.versions(MODEL)
    listed = ["git", "ls-remote", str(world.folder / "data" / "git" / f"{MODEL}.git")]
    pushed = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    for version in before[1:]:  # those of killed trainings too
        assert world.registry.tags(MODEL, version)["dvc_revision"] in pushed, version
    command = [sys.executable, "-m", "atalaia.cli", "reproduce", MODEL, "3", "--keep", str(tmp_path / "kept")]
    env = {**world.env, "COLUMNS": "200"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    data, model, metrics, last = done.stdout.splitlines()
    tags = world.registry.tags(MODEL, "3")
    assert data == f"data     the same bytes (sha256 {tags['data_sha256']})"
    assert model == f"model    the same bytes (sha256 {tags['sha256']})"
    assert metrics.startswith("metrics  the same: fit ")
    assert last == f"Version 3 of {MODEL} is made again bit for bit."
    made = tmp_path / "kept" / "clone"
    assert snapshot_sha256(made) == tags["data_sha256"]
    assert (made / "models" / "model.onnx").stat().st_size > 0
    assert world.registry.versions(MODEL) == before


def test_a_changed_snapshot_is_found(world: World, tmp_path: Path) -> None:
    """One byte more in the file that DVC's remote holds: other data, said before anything is trained on them."""
    settings = Settings(mlflow=world.mlflow, model=MODEL, data_dir=world.folder / "data")
    tags = tags_of(settings, world.registry, "4")
    git = ["git", "-C", str(world.folder / "data" / "git" / f"{MODEL}.git")]
    shown = [*git, "show", f"{tags['dvc_revision']}:data/live/training.parquet.dvc"]
    found = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    md5 = yaml.safe_load(found)["outs"][0]["md5"]
    kept = world.folder / "data" / "dvc-remote" / "files" / "md5" / md5[:2] / md5[2:]
    kept.chmod(0o644)
    with kept.open("ab") as file:
        file.write(b"x")
    (compared,) = Reproduction(settings, tags, tmp_path / "again").run()
    assert not compared.same
    assert compared.said.startswith("data/live/training.parquet: changed, or not in ")


def test_what_cannot_be_made_again_is_a_mistake(world: World) -> None:
    """The first champion was trained by hand: its tags name no revision; and a version 99 there is not."""
    settings = Settings(mlflow=world.mlflow, model=MODEL)
    for version, words in (("1", "it has no tag dvc_revision, data_sha256"), ("99", "has no version 99")):
        with pytest.raises(UserError, match=words):
            tags_of(settings, world.registry, version)
