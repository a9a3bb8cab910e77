"""Profiles are waited for, unless there will never be one."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from drift_monitor.counting import UnusableProfile
from drift_monitor.profiles import UNREADABLE_TIMES, Asked, FetchedProfiles
from prometheus_client import REGISTRY
from servicekit.registry import Registry
from summaries.profile import FieldSpec, Profile

PROFILE = Profile.build(
    {"x": [1.0, 2.0]}, [FieldSpec("x", "float32")], [0.5, 0.6], None, "y", None, "regression"
)


class ServerError(OSError, json.JSONDecodeError):
    """As the registry's HTTP client says that an answer is no JSON."""

    def __init__(self) -> None:
        json.JSONDecodeError.__init__(self, "Expecting value", "<html>", 0)


def answers(*outcomes: Any) -> tuple[list[tuple[str, str]], Callable[[str, str], dict[str, Any]]]:
    """A registry that answers one after the other, the last for ever; and what it was asked."""
    calls: list[tuple[str, str]] = []

    def fetch(model: str, version: str) -> dict[str, Any]:
        outcome = outcomes[min(len(calls), len(outcomes) - 1)]
        calls.append((model, version))
        if isinstance(outcome, Exception):
            raise outcome
        found: dict[str, Any] = outcome
        return found

    return calls, fetch


async def test_a_profile_that_is_not_there_yet_is_waited_for_and_fetched_once() -> None:
    """A registry that fails at first holds the caller, no longer than it fails; then the profile is kept."""
    away = ConnectionError("the registry is away")
    calls, fetch = answers(*[away] * 5, ServerError(), ServerError(), ServerError(), PROFILE.to_dict())
    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    assert await profiles.get("m", "1") == PROFILE
    assert await profiles.get("m", "1") == PROFILE
    assert len(calls) == 9


async def test_what_is_waited_for_is_named_with_since_and_why() -> None:
    """While a profile is not there it is listed with the moment and the reason; afterwards it is not."""
    seen = []
    before = time.time_ns() // 1_000_000

    def fetch(model: str, version: str) -> dict[str, Any]:
        seen.append(profiles.missing())
        if len(seen) < 3:
            raise ConnectionError(f"away, time {len(seen)}")
        return PROFILE.to_dict()

    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    await profiles.get("m", "2")
    assert seen[0] == profiles.missing() == []
    (first,), (second,) = seen[1:]
    assert (first.model, first.version, first.reason, first.unusable) == ("m", "2", "away, time 1", False)
    assert before <= first.since == second.since <= time.time_ns() // 1_000_000
    assert second.reason == "away, time 2"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (json.JSONDecodeError("Expecting value", "", 0), "Expecting value"),
        ({**PROFILE.to_dict(), "schema_version": 99}, "schema_version is 99"),
        ({"schema_version": 1}, "KeyError"),
        ([], "AttributeError"),
    ],
)
async def test_a_profile_that_cannot_be_read_is_given_up(outcome: Any, reason: str) -> None:
    """Broken JSON and another schema version raise with their reason, and are asked for no more."""
    calls, fetch = answers(outcome)
    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    for _ in range(2):
        with pytest.raises(UnusableProfile, match=reason):
            await profiles.get("m", "1")
    assert len(calls) == UNREADABLE_TIMES
    assert [(m.version, m.unusable) for m in profiles.missing()] == [("1", True)]


async def test_a_profile_that_the_registry_finds_broken_is_given_up(tmp_path: Path) -> None:
    """The registry words broken JSON in its own way; it is told from what may pass all the same."""
    (tmp_path / "profile.json").write_text("{half")
    client = SimpleNamespace(
        get_model_version=lambda model, version: SimpleNamespace(run_id="r"),
        list_artifacts=lambda run_id: [SimpleNamespace(path="profile.json")],
        download_artifacts=lambda run_id, path, folder: str(tmp_path / path),
    )
    registry = Registry("http://registry")
    registry._client = client
    profiles = FetchedProfiles(registry.profile, retry_seconds=0.001)
    with pytest.raises(UnusableProfile, match=r"profile\.json of models:/m/1 is not JSON"):
        await profiles.get("m", "1")


async def test_half_a_profile_is_read_again() -> None:
    """A profile that is read while it is written is not given up."""
    _, fetch = answers(json.JSONDecodeError("Expecting value", "", 0), PROFILE.to_dict())
    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    assert await profiles.get("m", "1") == PROFILE
    assert profiles.missing() == []


def held(version: str) -> float | None:
    """What the gauge says of a version."""
    return REGISTRY.get_sample_value("atalaia_profile_held", {"model": "let go", "version": version})


async def named(profiles: FetchedProfiles, versions: set[str]) -> None:
    """Wait until these are missing, and no others."""
    async with asyncio.timeout(10):
        while {missing.version for missing in profiles.missing()} != versions:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_profile_that_nobody_waits_for_any_more_is_not_missing() -> None:
    """A turn to decide that is lost while the registry is away holds nothing more; who counts its rows still does."""
    _, fetch = answers(ConnectionError("the registry is away"))
    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    turn = Asked(profiles)
    for version in "12":
        assert await turn.get("let go", version) is None
    counting = asyncio.create_task(profiles.get("let go", "2"))
    await named(profiles, {"1", "2"})
    assert (held("1"), held("2")) == (1, 1)
    turn.stop()
    await named(profiles, {"2"})
    assert (held("1"), held("2")) == (0, 1)
    counting.cancel()
    await named(profiles, set())
    assert held("2") == 0
