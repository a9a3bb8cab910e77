"""Who serves, who shadows and how the last promotion does, from the topics alone."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from contracts.codec import Unreadable, decode
from contracts.events import ChallengerChanged, Event, ModelChanged, PromotionReviewed
from rich.console import Console
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.topic_log import read_whole

from atalaia.drift.explain import say, when
from atalaia.sending import topics_of

SERVING, CHALLENGERS, REVIEWS = "model-events", "challengers", "promotion-reviews"
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Said(Generic[E]):
    """The last event of a model on a topic, and when the broker took it (ms, wall clock)."""

    event: E
    at: int


@dataclass(frozen=True)
class Standing:
    """What the topics say of one model; ``challenger`` is whatever was said last, be it that none shadows; ``look`` is the
    newest at a promoted version, whichever that is."""

    model: str
    serving: Said[ModelChanged] | None = None
    challenger: Said[ChallengerChanged] | None = None
    look: Said[PromotionReviewed] | None = None

    @property
    def serves(self) -> str | None:
        """The version that serves."""
        return self.serving.event.version if self.serving else None

    @property
    def shadows(self) -> str | None:
        """The version that shadows: the one announced last, unless it serves."""
        announced = self.challenger.event.version if self.challenger else None
        return announced if announced != self.serves else None


async def standings(settings: Settings) -> dict[str, Standing]:
    """Every model that either topic names."""
    there = await topics_of(settings)
    serving = await _last(settings, SERVING, ModelChanged) if SERVING in there else {}
    announced = await _last(settings, CHALLENGERS, ChallengerChanged) if CHALLENGERS in there else {}
    looks = await _last(settings, REVIEWS, PromotionReviewed) if REVIEWS in there else {}
    return {
        model: Standing(model, serving.get(model), announced.get(model), looks.get(model))
        for model in sorted({*serving, *announced})
    }


async def _last(settings: Settings, topic: str, kind: type[E]) -> dict[str, Said[E]]:
    found = {}
    async for batch in read_whole(settings, topic):
        for record in batch:
            with contextlib.suppress(Unreadable):  # the predictor reports those
                event = decode(kind, record.value, record.headers)
                found[str(getattr(event, "model"))] = Said(event, record.timestamp)  # noqa: B009
    return found


def one_of(there: Collection[str], asked: str, usual: str) -> str:
    """The model that is meant: the one asked for, else the settings', else the only one there is.

    Where the topics name none, a predictor may still serve what the registry calls champion: the settings' it is.
    """
    if asked:
        return asked
    if usual in there or not there:
        return usual
    if len(there) == 1:
        return next(iter(there))
    raise UserError(f"no version of {usual} serves; say --model with one of {', '.join(sorted(there))}.")


def render(console: Console, standing: Standing) -> None:
    """What the topics say, line by line."""
    say(console, standing.model)
    if standing.serving is None:
        say(console, "  no version serves by model-events")
    else:
        event = standing.serving.event
        begins = f" from event time {when(event.effective_from)} on" if event.effective_from else ""
        say(console, f"  version {event.version} serves, {event.action.replace('_', ' ')}{begins}")
        say(console, f"    announced {when(standing.serving.at)} UTC: {event.reason or 'no reason given'}")
    if standing.look is not None:
        look = standing.look.event
        say(console, f"  look {look.look} at version {look.version}, as of {when(look.as_of)}: {look.reason}")
    if standing.challenger is None:
        say(console, "  no version shadows it")
        return
    told = standing.challenger.event
    if standing.shadows is not None:
        say(console, f"  version {told.version} shadows it")
    elif told.version is None:
        say(console, "  no version shadows it any more")
    else:
        say(console, f"  no version shadows it: version {told.version}, which was to, serves")
    by = f" ({told.announced_by})" if told.announced_by else ""
    say(console, f"    announced {when(standing.challenger.at)} UTC: {told.reason or 'no reason given'}{by}")
