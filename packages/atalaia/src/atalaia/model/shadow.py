"""Who is to shadow: checked against the topics and the registry, then announced."""

from __future__ import annotations

from contracts.codec import derived_id
from contracts.events import ChallengerChanged
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import Registry
from summaries.compatible import differences
from summaries.profile import Profile

from atalaia import sending
from atalaia.drift.explain import when
from atalaia.model.standing import CHALLENGERS, Standing
from atalaia.registry import given, must_have


def begin(
    standing: Standing, version: str, registry: Registry, now: int, reason: str, by: str
) -> ChallengerChanged:
    """What to publish that ``version`` shadows; raises :class:`UserError` where it cannot.

    Asks what the predictor will ask, but for whether it scores: is it there and whole, does its checksum fit, and are
    its fields and target those of the version that serves.
    """
    model = standing.model
    # without an event the predictors serve what the registry calls champion
    serves = standing.serves or given(registry, f"the champion of {model}", lambda: registry.champion(model))
    if version == serves:
        raise UserError(f"version {version} of {model} serves: it cannot shadow itself.")
    if version == standing.shadows and standing.challenger:
        raise UserError(
            f"version {version} of {model} shadows already, since {when(standing.challenger.at)} UTC. "
            f"To have it loaded anew, stop it first: atalaia model shadow --stop"
        )
    known = given(registry, f"the versions of {model}", lambda: registry.versions(model))
    must_have(registry, model, version, known)
    bundle = given(registry, f"version {version} of {model}", lambda: registry.bundle(model, version))
    after = given(
        registry,
        f"a readable profile of {model} version {version}",
        lambda: Profile.from_dict(bundle.profile),
    )
    if serves is not None:
        before = given(
            registry,
            f"a readable profile of {model} version {serves}",
            lambda: Profile.from_dict(registry.profile(model, serves)),
        )
        if changes := differences(before, after):
            raise UserError(
                f"version {version} of {model} cannot shadow version {serves}: {'; '.join(changes)}."
            )
    return ChallengerChanged(
        model=model,
        version=version,
        artifact_uri=bundle.artifact_uri,
        sha256=bundle.sha256,
        effective_from=now,
        reason=reason,
        announced_by=by,
    )


def end(standing: Standing, now: int, reason: str, by: str) -> ChallengerChanged:
    """What to publish that none shadows; raises :class:`UserError` where none is announced."""
    if standing.challenger is None or standing.challenger.event.version is None:
        raise UserError(f"no version of {standing.model} shadows: there is nothing to stop.")
    return ChallengerChanged(
        model=standing.model,
        version=None,
        artifact_uri="",
        sha256="",
        effective_from=now,
        reason=reason,
        announced_by=by,
    )


async def announce(settings: Settings, standing: Standing, event: ChallengerChanged) -> None:
    """Publish it. Its id says what it follows: the same decision, sent twice, is one event."""
    last = standing.challenger.event.effective_from if standing.challenger else 0
    ce_id = derived_id(CHALLENGERS, event.model, last, event.version or "", event.sha256)
    await sending.send(settings, CHALLENGERS, event, key=event.model, ce_id=ce_id, reader="predictor")
