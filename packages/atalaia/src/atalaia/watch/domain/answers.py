"""What a first line consists of, and what an alert says in a sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from atalaia.drift.history import Alert
from atalaia.watch.domain.pending import Turn
from atalaia.watch.domain.words import changed, plain, sentence, strongest

Tone = Literal["alarm", "wait", "good", "none"]
GRAVEST = {"quality": 0, "real": 1, "virtual": 2}


class Headline(msgspec.Struct, frozen=True):
    """``state`` in a word or two and how far its answer is, ``phase``; then three answers in plain words: ``now`` in a
    sentence, with ``more`` to it, ``since`` and ``done``. ``kind``: of the alert that it is about, or a review. ``turn``: what waits for a person, if anything does;
    ``progress``: how many labelled rows there are of how many that are waited for."""

    tone: Tone
    state: str
    now: str
    more: str
    since: str
    done: str
    phase: str = ""
    kind: str = ""
    turn: Turn | None = None
    progress: tuple[int, int] | None = None

    @property
    def short(self) -> str:
        """The state for lists and titles; that it is a person's turn belongs to it."""
        return f"{self.state}, your turn" if self.turn else self.state


def what(alert: Alert, whose: str) -> str:
    """What an alert says is wrong."""
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
            f"all features together have changed, though none has alone: they no longer look like the reference of {whose}"
        )
    has = "has changed: it no longer looks" if len(names) == 1 else "have changed: they no longer look"
    return sentence(f"{changed(names)} {has} like the reference of {whose}")
