"""What a first line consists of, and what an alert says in a sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from atalaia.drift.history import Alert
from atalaia.watch.domain.pending import Turn
from atalaia.watch.domain.words import changed, plain, sentence, strongest

Tone = Literal["alarm", "wait", "good", "none"]
TRAINED_ON = "the rows that version was trained and tested on"
GRAVEST = {"quality": 0, "real": 1, "virtual": 2}


class Headline(msgspec.Struct, frozen=True):
    """``state`` in a word or two and how far its answer is, ``phase``; then the answers in plain words: ``now`` in a
    sentence, with ``more`` to it, ``since`` and ``done``, a line each thing that was. ``kind``: of the alert that it is about,
    or a review. ``need``: what there is for a person to do, be it nothing; ``turn``: the same with its commands, where
    something waits for a person. ``progress``: how many labelled rows there are of how many that are waited for.
    ``began``: the event time that ``since`` names."""

    tone: Tone
    state: str
    now: str
    more: str
    since: str
    done: str
    phase: str = ""
    kind: str = ""
    need: str = ""
    turn: Turn | None = None
    progress: tuple[int, int] | None = None
    began: int | None = None

    @property
    def short(self) -> str:
        """The state for lists and titles; that it is a person's turn belongs to it."""
        return f"{self.state}, your turn" if self.turn else self.state


def what(alert: Alert, whose: str, looked_like: str = TRAINED_ON, *, more: bool = False) -> str:
    """What an alert says is wrong. ``looked_like``: the rows that live ones are held against; ``more``: others than those that
    began it have changed since."""
    opening, reason = alert.opening, plain(alert.opening.reason)
    if opening.kind == "real":
        return sentence(
            f"{whose} makes more errors than it did: the same inputs mean something else now ({reason.partition(';')[0]})"
        )
    if opening.kind == "quality":
        return sentence(f"the predictions of {whose} are worse than expected: {reason}")
    names = strongest(opening.features)
    if not names:
        return sentence(
            f"all inputs and outputs together have changed, though none has alone: they no longer look like {looked_like}"
        )
    one = len(names) == 1
    has = "changed first" if more else "has changed" if one else "have changed"
    return sentence(
        f"{changed(names)} {has}: {'it no longer looks' if one else 'they no longer look'} like {looked_like}"
    )
