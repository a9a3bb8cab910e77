"""A version that nobody challenged comes to serve, because a person says so: one record on ``model-events``.

For what a project's CI has published. The trainer's own versions come to serve by winning (ADR 0006); an earlier one
comes back by a rollback.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.events import ModelChanged
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import Registry
from servicekit.topic_log import read_events
from summaries.compatible import differences
from summaries.profile import Profile

from atalaia import sending
from atalaia.model.standing import SERVING
from atalaia.registry import given, must_have


async def served(settings: Settings, model: str) -> list[ModelChanged]:
    """What ``model-events`` holds of a model, oldest first; nothing before its first version."""
    if SERVING not in await sending.topics_of(settings):
        return []
    return [e for e in await read_events(settings, SERVING, ModelChanged) if e.model == model]


def prepare(
    events: Sequence[ModelChanged],
    model: str,
    version: str,
    registry: Registry,
    reason: str,
    newest: int | None,
    origin: int,
) -> ModelChanged | None:
    """What to publish; None where the version serves already, so that a deployment may be run twice.

    ``newest`` is the event time of the traffic (ms) and ``origin`` where windows are counted from: a first version
    serves from there on, another from the newest row on. Raises :class:`UserError` where the registry does not have
    the version, or where it cannot take the place of the one that serves.
    """
    last = events[-1] if events else None
    if last is not None and last.version == version:
        return None
    must_have(
        registry,
        model,
        version,
        given(registry, f"the versions of {model}", lambda: registry.versions(model)),
    )
    tags = given(registry, f"the tags of version {version}", lambda: registry.tags(model, version))
    after = _profile(registry, model, version)
    if last is not None and (found := differences(_profile(registry, model, last.version), after)):
        raise UserError(
            f"version {version} of {model} cannot take the place of version {last.version}: {'; '.join(found)}."
        )
    return ModelChanged(
        model=model,
        version=version,
        previous_version=last.version if last else None,
        action="installed",
        artifact_uri=f"models:/{model}/{version}",
        sha256=tags.get("sha256", ""),
        effective_from=origin if last is None else max(last.effective_from + 1, newest or 0),
        reason=reason,
    )


def _profile(registry: Registry, model: str, version: str) -> Profile:
    what = f"a readable profile of {model} version {version}"
    return given(registry, what, lambda: Profile.from_dict(registry.profile(model, version)))
