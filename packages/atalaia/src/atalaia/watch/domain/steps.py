"""One thing that happened, from the event that tells of it."""

from __future__ import annotations

from typing import Literal

import msgspec
from contracts.events import (
    AlertChanged,
    ChallengerReviewed,
    ModelChanged,
    PromotionReviewed,
    ReferenceAccepted,
    TrainingDecided,
)

from atalaia.watch.domain.words import changed, plain, sentence, strongest

Tone = Literal["alarm", "wait", "good", "plain"]
GOOD: Tone = "good"
WAIT: Tone = "wait"
ALARM: Tone = "alarm"
PLAIN: Tone = "plain"
TONES: dict[str, Tone] = {"promoted": GOOD, "refused": WAIT, "failed": ALARM, "waiting": WAIT}


class Step(msgspec.Struct, frozen=True):
    """One thing that happened. ``at``: event time; ``version``: which it is about."""

    at: int
    what: str
    words: str
    tone: Tone = "plain"
    version: str | None = None


def decided(d: TrainingDecided) -> Step:
    """What the trainer decided."""
    tone = TONES.get(d.decision, PLAIN)
    what = "training" if d.decision == "started" else d.decision
    words = plain(d.reason).removeprefix("training: ").removeprefix("waiting: ")
    return Step(d.as_of, what, sentence(words), tone, d.challenger_version)


def said(word: ChallengerReviewed, at: int) -> Step:
    """A person's word on a challenger that has waited for one since ``at``."""
    what, tone = ("approved", GOOD) if word.approved else ("not approved", WAIT)
    return Step(
        at, what, sentence(f"by {word.reviewed_by or 'a person'}: {plain(word.reason)}"), tone, word.version
    )


def reviewed(review: PromotionReviewed) -> Step:
    """A promoted version against the one before it."""
    what = {"kept": "kept", "rolled_back": "does worse"}.get(review.verdict, "under review")
    tone = {"kept": GOOD, "rolled_back": ALARM}.get(review.verdict, PLAIN)
    words = f"look {review.look}, {plain(review.reason)}"
    return Step(review.as_of, what, sentence(words), tone, review.version)


def alert_changed(change: AlertChanged, *, opening: bool) -> Step:
    """A change of an alert; ``opening``: the one that raised it."""
    at, version, reason = change.window_end, change.version, sentence(plain(change.reason))
    if change.state == "drift":
        words = changed(strongest(change.features)) or plain(change.reason)
        return Step(at, "alert" if opening else "drifts again", sentence(words), ALARM, version)
    if change.state == "warning":
        return Step(at, "warning", reason, WAIT, version)
    if change.state == "recovered":
        words = "The newest window is quiet; a few more, and the alert is closed."
        return Step(at, "quiet again", words, GOOD, version)
    return Step(at, "closed", reason, GOOD, version)


def accepted(reference: ReferenceAccepted) -> Step:
    """A person takes what an alert saw for the reference."""
    by = f" by {reference.accepted_by}" if reference.accepted_by else ""
    words = sentence(f"the live rows are the reference from now on, accepted{by}: {reference.reason}")
    return Step(reference.effective_from, "accepted", words, GOOD, reference.version)


def serves(change: ModelChanged) -> Step:
    """A version comes to serve."""
    words = sentence(plain(change.reason) or "no reason given")
    tone = WAIT if change.action == "rolled_back" else PLAIN
    return Step(change.effective_from, change.action.replace("_", " "), words, tone, change.version)
