"""Profiles come from the registry through a process that does not outlive the asking."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from servicekit.errors import UserError
from servicekit.registry import Registry
from servicekit.registry_process import RegistryProcess


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return once a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


PATIENT = 120.0  # seconds: where all is busy the client takes longer to begin than a service waits at once


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pid_of(asked: RegistryProcess) -> int:
    """The process's id."""
    assert asked._process is not None
    return asked._process.pid


async def test_answers_and_errors_come_through_and_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile comes back as it was logged, and a version that is not there is the user's error.

    One process answers both; idle, it ends, and the next asking begins another.
    """
    import mlflow

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = Registry(uri).client()
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    profile = {"schema_version": 1, "name": "näh", "cells": list(range(20_000))}
    with mlflow.start_run(experiment_id=experiment) as run:
        (tmp_path / "profile.json").write_text(json.dumps(profile))
        mlflow.log_artifact(str(tmp_path / "profile.json"))
    client.create_registered_model("m")
    client.create_model_version("m", "s", run.info.run_id)
    asked = RegistryProcess(uri, idle_seconds=0.2, answer_seconds=PATIENT)
    try:
        assert await asked.profile("m", "1") == profile
        first = pid_of(asked)
        with pytest.raises(UserError, match="has no version 2 of m"):
            await asked.profile("m", "2")
        await until(lambda: is_gone(first))
        assert await asked.profile("m", "1") == profile
        assert pid_of(asked) != first
    finally:
        await asked.close()
    assert not asked.running


async def test_who_stops_asking_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a client that tries for minutes; a registry that is away may be asked again."""
    asked = RegistryProcess("http://127.0.0.1:9")
    asking = asyncio.create_task(asked.profile("m", "1"))
    await until(lambda: asked.running)
    hanging = pid_of(asked)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert is_gone(hanging)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConnectionError):
        await asked.profile("m", "1")
    await asked.close()


async def test_a_question_that_hangs_does_not_keep_others_waiting() -> None:
    """It ends with its process after a while, is an error that may pass, and the next one is asked."""
    asked = RegistryProcess("http://127.0.0.1:9", answer_seconds=0.5)
    first, second = (asyncio.create_task(asked.profile("m", version)) for version in "12")
    for asking, seconds in ((first, "0.5"), (second, "1")):
        with pytest.raises(ConnectionError, match=f"did not answer within {seconds} s"):
            await asking
    assert not asked.running


async def test_a_slow_machine_is_given_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An asking that ends too early is given twice as long the next time, up to a bound; an answer resets that."""
    asked = RegistryProcess("http://127.0.0.1:9", answer_seconds=0.05)
    patience, takes = list[str](), [9, 9, 0, 9]

    async def ask(model: str, version: str) -> dict[str, object]:
        await asyncio.sleep(takes.pop(0))
        return {"profile": {}}

    monkeypatch.setattr(asked, "_ask", ask)
    for _ in range(4):
        try:
            await asked.profile("m", "1")
            patience.append("answered")
        except ConnectionError as error:
            patience.append(str(error).rpartition("within ")[2])
    await asked.close()
    assert patience == ["0.05 s", "0.1 s", "answered", "0.05 s"]
