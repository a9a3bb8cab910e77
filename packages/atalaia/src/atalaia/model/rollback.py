"""A rollback by hand: one record on ``model-events``, after which an earlier version serves; see ADR 0015.

Neither a trainer nor the registry is needed for it: what ``model-events`` has named is known to have served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.codec import derived_id
from contracts.events import ModelChanged, PredictionsMade
from prometheus_client import CollectorRegistry, Counter
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.registry import Registry
from servicekit.topic_log import read_events, read_or_skip, read_until
from summaries.compatible import differences
from summaries.profile import Profile

from atalaia import sending
from atalaia.model.standing import SERVING
from atalaia.registry import given, must_have

PREDICTIONS = "predictions"
LAST_RECORDS = 10  # of a partition: among them is one of the model, where there is traffic


@dataclass(frozen=True)
class Rollback:
    """What is to be published, and why the registry could not be asked; None where it was."""

    event: ModelChanged
    away: str | None


async def changes(settings: Settings, model: str) -> list[ModelChanged]:
    """What ``model-events`` still holds of a model, oldest first; raises :class:`UserError` where that is nothing."""
    there = await sending.topics_of(settings)
    events = await read_events(settings, SERVING, ModelChanged) if SERVING in there else []
    found = [event for event in events if event.model == model]
    if not found:
        names = ", ".join(sorted({event.model for event in events})) or "none"
        raise UserError(f"no version of {model} serves by model-events; they name {names}.")
    return found


def target(events: Sequence[ModelChanged], asked: str) -> str:
    """The version that is to serve: the one asked for, else the predecessor; raises :class:`UserError`."""
    last = events[-1]
    serves = f"version {last.version} of {last.model} serves"
    if asked:
        if asked == last.version:
            raise UserError(f"{serves} already.")
        return asked
    if last.action == "rolled_back":  # its predecessor is what it replaced: back to that is no rollback
        raise UserError(
            f"{serves} after a rollback from version {last.previous_version}: say with --to what is to."
        )
    if last.previous_version is None:
        raise UserError(f"{serves} and has no predecessor on model-events: say with --to what is to.")
    return last.previous_version


def prepare(
    events: Sequence[ModelChanged],
    asked: str,
    registry: Registry,
    reason: str,
    newest: int | None,
) -> Rollback:
    """What to publish; raises :class:`UserError` where the version is unknown, serves, or cannot take the place.

    ``newest`` is the event time of the traffic, in ms: the version serves from there on. It is the later of that
    and the millisecond after the change before, because of two changes the one that is effective later holds.
    """
    last, version = events[-1], target(events, asked)
    model = last.model
    artifact_uri, sha256 = f"models:/{model}/{version}", ""
    for event in events:
        if event.version == version and event.sha256:
            artifact_uri, sha256 = event.artifact_uri, event.sha256
    away = None
    try:
        known = given(registry, f"the versions of {model}", lambda: registry.versions(model))
    except UserError as error:
        if version not in {v for event in events for v in (event.version, event.previous_version)}:
            raise
        away = str(error)
    else:
        must_have(registry, model, version, known)
        if not sha256:
            tags = given(registry, f"the tags of version {version}", lambda: registry.tags(model, version))
            sha256 = tags.get("sha256", "")
        if version != last.previous_version:
            _check(registry, model, last.version, version)
    return Rollback(
        ModelChanged(
            model=model,
            version=version,
            previous_version=last.version,
            action="rolled_back",
            artifact_uri=artifact_uri,
            sha256=sha256,
            effective_from=max(last.effective_from + 1, newest or 0),
            reason=reason,
        ),
        away,
    )


def _check(registry: Registry, model: str, serves: str, version: str) -> None:
    """What the predictor would refuse is not announced."""
    before, after = (
        given(
            registry,
            f"a readable profile of {model} version {each}",
            lambda each=each: Profile.from_dict(registry.profile(model, each)),  # type: ignore[misc]
        )
        for each in (serves, version)
    )
    if found := differences(before, after):
        raise UserError(
            f"version {version} of {model} cannot take the place of version {serves}: {'; '.join(found)}."
        )


async def newest_event_time(settings: Settings, model: str, now: int) -> int | None:
    """The newest event time among the last records of ``predictions``, not after ``now``; None without any."""
    if PREDICTIONS not in await sending.topics_of(settings):
        return None
    skipped = Counter("skipped", "by topic", ["topic"], registry=CollectorRegistry())
    consumer = make_consumer(settings, PREDICTIONS)
    found: int | None = None
    try:
        await consumer.start()
        partitions = sorted(consumer.assignment())
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(begins[partition], ends[partition] - LAST_RECORDS))
        async for batch in read_until(consumer, {tp: end for tp, end in ends.items() if end > begins[tp]}):
            for record in batch:
                event = read_or_skip(PredictionsMade, record, skipped)
                if event is not None and event.model == model:
                    found = max(found or 0, *event.event_time)
    finally:
        await stop_consumer(consumer)
    return None if found is None else min(found, now)


async def announce(settings: Settings, event: ModelChanged, last: ModelChanged) -> None:
    """Publish it. Its id says what it follows: the same rollback, sent twice, is one event."""
    ce_id = derived_id(SERVING, event.model, last.version, last.effective_from, event.version)
    await sending.send(settings, SERVING, event, key=event.model, ce_id=ce_id, reader="predictor")


def move_alias(registry: Registry, event: ModelChanged) -> str | None:
    """Let the registry's alias follow; why it does not, where it cannot. A trainer that runs does the same."""
    what = f"its alias to version {event.version}"
    try:
        given(registry, what, lambda: registry.set_champion(event.model, event.version))
    except UserError as error:
        return str(error)
    return None
