"""One thing that happened, from the event that tells of it."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from contracts.events import (
    AlertChanged,
    ChallengerReviewed,
    ModelChanged,
    PromotionReviewed,
    ReferenceAccepted,
    TrainingDecided,
    TrainingRequested,
)

from atalaia.watch.domain.evidence import Evidence, evidence_of, looked
from atalaia.watch.domain.words import changed, named, plain, sentence, strongest

Tone = Literal["alarm", "wait", "good", "plain"]
GOOD: Tone = "good"
WAIT: Tone = "wait"
ALARM: Tone = "alarm"
PLAIN: Tone = "plain"
TONES: dict[str, Tone] = {"promoted": GOOD, "refused": WAIT, "failed": ALARM, "waiting": WAIT}
LABELS, SHADOW, APPROVAL = "waiting for labels", "in shadow", "waiting for approval"
APPROVED, NOT_APPROVED = "approved", "not approved"
WAITS = {"rows": LABELS, "shadow": SHADOW, "approval": APPROVAL}
WANTED = re.compile(r"(\d[\d,]*) labelled rows of live traffic in shadow")
SCORES = ". Now it scores"
BEGINS = ("training: ", "waiting: ", "waiting for approval: ", "failed: ")

ASKS = (", real drift", ", worse answers", ", by the schedule")  # which the title of the chain says


class Step(msgspec.Struct, frozen=True):
    """One thing that happened. ``at``: event time; ``version``: which it is about; ``progress``: of how many labelled
    rows so many are there; ``evidence``: the figures behind it."""

    at: int
    what: str
    words: str
    tone: Tone = "plain"
    version: str | None = None
    progress: tuple[int, int] | None = None
    evidence: list[Evidence] = []


def decided(d: TrainingDecided) -> Step:
    """What the trainer decided."""
    what = {"started": "training", "waiting": WAITS.get(d.waits_for or "", "waiting")}.get(
        d.decision, d.decision
    )
    tone = TONES.get(d.decision, PLAIN)
    words = named(plain(d.reason), d.champion_version)
    if what == SHADOW:
        words = _shadowing(words)
    for begins in BEGINS:
        words = words.removeprefix(begins)
    for asks in ASKS:
        words = words.removesuffix(asks)
    return Step(d.as_of, what, sentence(words), tone, d.challenger_version, _progress(d), evidence_of(d))


def _shadowing(words: str) -> str:
    """That it has won, and what it does now: how far it is, the record does not say again."""
    begins, _, verdict = words.partition("; ")
    wanted = WANTED.search(begins)
    if wanted is None or not verdict:
        return words
    return f"{verdict}{SCORES} live traffic unseen, until {wanted[1]} of these rows are labelled"


def _progress(d: TrainingDecided) -> tuple[int, int] | None:
    if d.waits_for != "rows" or not d.rows.get("needed"):
        return None
    return d.rows.get("labelled", 0), d.rows["needed"]


def said(word: ChallengerReviewed, at: int) -> Step:
    """A person's word on a challenger that has waited for one since ``at``."""
    what, tone = (APPROVED, GOOD) if word.approved else (NOT_APPROVED, WAIT)
    why = plain(word.reason) or "no reason given"
    return Step(at, what, sentence(f"by {word.reviewed_by or 'a person'}: {why}"), tone, word.version)


def asked(request: TrainingRequested, at: int) -> Step:
    """That somebody asks for a training; the request itself bears no time."""
    by = f" by {request.requested_by}" if request.requested_by else ""
    return Step(at, "asked for", sentence(f"{request.reason or 'no reason given'}{by}"))


def reviewed(review: PromotionReviewed) -> Step:
    """A promoted version against the one before it."""
    what = {"kept": "kept", "rolled_back": "does worse"}.get(review.verdict, "under review")
    tone = {"kept": GOOD, "rolled_back": ALARM}.get(review.verdict, PLAIN)
    words = f"look {review.look}, {named(plain(review.reason), review.previous_version)}"
    return Step(review.as_of, what, sentence(words), tone, review.version, evidence=looked(review))


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


def serves(change: ModelChanged, *, by_itself: bool = False) -> Step:
    """A version comes to serve. A rollback is about the version that it undoes; ``by_itself``: because of a review."""
    if change.action != "rolled_back":
        words = sentence(named(plain(change.reason), change.previous_version) or "no reason given")
        return Step(change.effective_from, change.action, words, PLAIN, change.version)
    how = "by itself" if by_itself else "by hand"
    reason = named(plain(change.reason), change.version) or "no reason given"
    words = sentence(f"{how}: {reason}; version {change.version} serves again")
    return Step(change.effective_from, "rolled back", words, WAIT, change.previous_version)
