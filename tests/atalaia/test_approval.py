"""``atalaia approve`` and ``refuse``: the evidence is shown, the word is on the topic, and what waits for nobody is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import msgspec
import pytest
from atalaia.approval import Standing, chosen, end, render, word
from contracts.events import (
    CandidateTried,
    ChallengerReviewed,
    Event,
    GuardrailSeen,
    ModelChanged,
    PromotionReviewed,
    TrainingDecided,
)
from rich.console import Console
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_events
from servicekit.topics import ensure_topics

ASKS = TrainingDecided(
    run_id="abc1", model="m", alert_id="A", as_of=1_359_694_800_000, decision="waiting",
    reason="waiting for approval: better: accuracy 0.9000", since=1_359_000_000_000, until=1_359_694_800_000,
    rows={"train": 9_000, "holdout": 1_200}, champion_version="1", challenger_version="2",
    metrics={"champion": {"accuracy": 0.8, "log_loss": 0.5}, "challenger": {"accuracy": 0.9}}, gain=0.1,
    p_value=0.003, mlflow_run_id="run", dvc_revision="revision", data_sha256="sum", trigger="real",
    answers=["A", "m/schedule/3"], waits_for="approval", classes={"late": 40},
    guardrails={"latency": GuardrailSeen(seen=1.25, limit=5, held=True)},
    candidates={"all": CandidateTried(rows=9_000, since=None, half_life_ms=None, metrics={"accuracy": 0.9})}, chosen="all",
)  # fmt: skip
SHADOWS = msgspec.structs.replace(
    ASKS, run_id="abd2", model="n", waits_for="shadow", reason="waiting: 0 of 5"
)
OVER = msgspec.structs.replace(ASKS, run_id="over", decision="refused", waits_for=None, reason="not better")


SERVES = ModelChanged(
    model="m", version="1", previous_version="0", action="promoted", artifact_uri="", sha256="", effective_from=5,
    reason="better",
)  # fmt: skip
LOOK = PromotionReviewed(
    model="m", version="1", previous_version="0", as_of=9_000, look=1, rows=100, metric="accuracy", metrics={}, gain=0.0,
    low=-0.1, high=0.1, confidence=0.975, verdict="undecided", reason="undecided: of one mind",
)  # fmt: skip


def standing(*runs: TrainingDecided, words: list[ChallengerReviewed] | None = None) -> Standing:
    """What the topics say."""
    return Standing({run.run_id: run for run in runs}, {word.run_id: word for word in words or []})


@pytest.mark.parametrize("asked", ["", "m", "abc", "abc1"])
def test_the_run_is_found_by_id_by_model_or_alone(asked: str) -> None:
    """Whatever has ended is not meant."""
    assert chosen(standing(ASKS, OVER), asked, approved=True) is ASKS
    assert chosen(standing(SHADOWS), "", approved=False) is SHADOWS


@pytest.mark.parametrize(
    ("found", "asked", "said"),
    [
        (standing(), "", "no challenger waits: there is nothing to approve."),
        (standing(ASKS), "x", "no challenger named by x waits: there is nothing to approve."),
        (standing(OVER), "over", "run over does not wait for anybody (refused: not better)."),
        (standing(ASKS, SHADOWS), "ab", "several challengers wait: say which run: abc1 (version 2 of m); abd2 "),
        (standing(SHADOWS), "n", "version 2 of n is in its shadow period (waiting: 0 of 5): it asks for approval once"),
        (
            standing(ASKS, words=[word(ASKS, False, "unfair", "us")]),
            "m",
            "version 2 of m was refused already by us: unfair. Its trainer heeds that once it runs.",
        ),
    ],
)  # fmt: skip
def test_what_does_not_wait_for_this_word_is_one_line(found: Standing, asked: str, said: str) -> None:
    """It says how it stands."""
    with pytest.raises(UserError) as refused:
        chosen(found, asked, approved=True)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_the_evidence_is_all_that_the_record_holds() -> None:
    """Who asks, for what, with which figures, guardrails and candidates, and how it is made again."""
    console = Console(width=120)
    with console.capture() as seen:
        render(console, ASKS)
    lines = [" ".join(line.split()) for line in seen.get().splitlines()]
    for line in (
        "Version 2 of m is to take the place of version 1.",
        "answers A, m/schedule/3 (real)",
        "waiting for approval: better: accuracy 0.9000",
        "accuracy 0.8000 0.9000",
        "log_loss 0.5000",
        "gain +0.1000, p = 0.0030",
        "rows: train 9,000, holdout 1,200",
        "labelled rows since the change: late 40",
        "latency 1.25 5 yes",
        "all (chosen) 9,000 0.9000",
        "MLflow run run, DVC revision revision",
        "made again bit for bit with: atalaia reproduce m 2",
    ):
        assert line in lines


def atalaia(kafka: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_KAFKA": kafka, "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "atalaia.cli", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def tell(kafka: str, topic: str, event: Event) -> None:
    """Put an event on a topic."""
    producer = await make_producer(Settings(kafka=kafka), "test")
    try:
        await publish(producer, topic, event, source="test", key="m")
    finally:
        await producer.stop()


@pytest.mark.kafka
def test_a_word_is_on_the_topic_once_the_evidence_was_shown() -> None:
    """Without a reason nothing is said but why; who waits is told the end; a second word is refused."""
    with EmbeddedKafka() as broker:
        kafka = broker.bootstrap
        settings = Settings(kafka=kafka)
        asyncio.run(ensure_topics(Settings(kafka=kafka, partitions=1)))
        asyncio.run(tell(kafka, "training-runs", ASKS))
        asyncio.run(tell(kafka, "model-events", SERVES))
        asyncio.run(tell(kafka, "promotion-reviews", LOOK))
        done = atalaia(kafka, "approve")
        assert (done.returncode, done.stderr) == (
            2,
            "atalaia: say why, with --reason: it stands on training-runs.\n",
        )
        assert "accuracy    0.8000      0.9000" in done.stdout
        status = atalaia(kafka, "model", "status").stdout
        assert "  version 2 is to serve: waiting for approval: better: accuracy 0.9000\n" in status
        assert "    run abc1; its evidence: atalaia approve abc1\n" in status
        assert "  look 1 at version 1, as of 1970-01-01 00:00:09: undecided: of one mind\n" in status
        assert asyncio.run(read_events(settings, "approvals", ChallengerReviewed)) == []
        done = atalaia(kafka, "approve", "m", "--reason", "read it", "--by", "us")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("Version 2 of m is approved; its trainer does the rest.\n")
        (said,) = asyncio.run(read_events(settings, "approvals", ChallengerReviewed))
        assert said == word(ASKS, True, "read it", "us")
        done = atalaia(kafka, "refuse", "--reason", "on second thought")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "was approved already by us: read it" in done.stderr
        with pytest.raises(UserError, match="run abc1 is not over after 0 s"):
            asyncio.run(end(settings, "abc1", 0))
        promoted = msgspec.structs.replace(ASKS, decision="promoted", waits_for=None)
        asyncio.run(tell(kafka, "training-runs", promoted))
        assert asyncio.run(end(settings, "abc1", 5)).decision == "promoted"
