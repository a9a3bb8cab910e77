"""Profiles are waited for."""

from typing import Any

from drift_monitor.profiles import FetchedProfiles
from summaries.profile import FieldSpec, Profile


async def test_a_profile_that_is_not_there_yet_is_waited_for_and_fetched_once() -> None:
    """A registry that fails at first holds the caller, no longer than it fails; then the profile is kept."""
    schema = [FieldSpec("x", "float32")]
    profile = Profile.build({"x": [1.0, 2.0]}, schema, [0.5, 0.6], None, "y", None, "regression")
    calls: list[tuple[str, str]] = []

    def fetch(model: str, version: str) -> dict[str, Any]:
        calls.append((model, version))
        if len(calls) < 3:
            raise ConnectionError("the registry is away")
        return profile.to_dict()

    profiles = FetchedProfiles(fetch, retry_seconds=0.001)
    assert await profiles.get("m", "1") == profile
    assert await profiles.get("m", "1") == profile
    assert len(calls) == 3
