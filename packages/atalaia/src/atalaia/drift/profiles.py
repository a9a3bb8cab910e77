"""Profiles from the registry, each fetched once."""

from __future__ import annotations

from collections.abc import Callable

from servicekit.config import Settings
from summaries.profile import Profile

from atalaia.registry import given, impatient


def profiles_of(settings: Settings, model: str) -> Callable[[str], Profile]:
    """The profile of a version of ``model``; raises :class:`UserError` where the registry does not give it."""
    registry, known = impatient(settings), dict[str, Profile]()

    def profile(version: str) -> Profile:
        if version not in known:
            known[version] = given(
                registry, f"the profile of {model} version {version}",
                lambda: Profile.from_dict(registry.profile(model, version)),
            )  # fmt: skip
        return known[version]

    return profile
