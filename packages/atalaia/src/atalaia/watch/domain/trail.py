"""The train of events: what raised an alert, or asked for a training, and what came of it step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from contracts.events import ChallengerReviewed, ModelChanged, PromotionReviewed, TrainingDecided

from atalaia.drift.history import SHORT, Alert
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import changed, plain, sentence, strongest

Tone = Literal["alarm", "wait", "good", "plain"]
KINDS = {
    "virtual": "Inputs or outputs look different",
    "real": "The same inputs mean something else",
    "quality": "The model does worse",
}
OTHERS = {"schedule": "A training by the schedule", "manual": "A training that was asked for"}
GOOD: Tone = "good"
WAIT: Tone = "wait"
ALARM: Tone = "alarm"
PLAIN: Tone = "plain"
TONES: dict[str, Tone] = {"promoted": GOOD, "refused": WAIT, "failed": ALARM, "waiting": WAIT}
ANSWERS = ("promoted", "refused", "failed", "accepted", "rolled back")


class Step(msgspec.Struct, frozen=True):
    """One thing that happened. ``at``: event time; ``version``: which it is about."""

    at: int
    what: str
    words: str
    tone: Tone = "plain"
    version: str | None = None


class Chain(msgspec.Struct):
    """What hangs together. ``since``: from when the world looks different; ``open``: nothing has ended it yet;
    ``came``: what came of it so far, in a few words."""

    id: str
    kind: str
    title: str
    since: int
    version: str | None
    open: bool
    steps: list[Step]
    came: str = ""

    @property
    def at(self) -> int:
        """When it went on last."""
        return max((step.at for step in self.steps), default=self.since)

    @property
    def answers(self) -> list[Step]:
        """What was done about it, oldest first."""
        return [step for step in self.steps if step.what in ANSWERS]


def trail(memory: Memory) -> list[Chain]:
    """All chains, the newest first, each with its steps in order."""
    chains = {alert.id: _of_alert(alert) for alert in reversed(memory.alerts)}
    promoted: dict[str, Chain] = {}
    for decision in _told_once(memory.decisions.values()):
        chain = chains.get(decision.alert_id) or _of_training(memory, decision)
        chains[decision.alert_id] = chain
        chain.steps.append(_decided(decision))
        if decision.decision == "promoted" and decision.challenger_version is not None:
            promoted[decision.challenger_version] = chain
        for other in decision.answers:
            if other in chains and other != decision.alert_id and decision.decision in ANSWERS:
                chains[other].steps.append(_decided(decision))
    for accepted in memory.accepted.values():
        if accepted.alert_id in chains:
            by = f" by {accepted.accepted_by}" if accepted.accepted_by else ""
            words = sentence(f"the live rows are the reference from now on, accepted{by}: {accepted.reason}")
            step = Step(accepted.effective_from, "accepted", words, "good", accepted.version)
            chains[accepted.alert_id].steps.append(step)
    for decision in memory.decisions.values():
        word = memory.approvals.get(decision.run_id)
        if word is not None and decision.waits_for == "approval" and decision.alert_id in chains:
            chains[decision.alert_id].steps.append(_said(word, decision.as_of))
    for review in _last_looks(memory.reviews.values()):
        if review.version in promoted:
            promoted[review.version].steps.append(_reviewed(review))
    for change in memory.changes.values():
        _serve(change, chains, promoted)
    for chain in chains.values():
        chain.steps.sort(key=lambda step: step.at)  # stable: of one moment in the order of their making
        chain.came = _came(chain)
    return sorted(chains.values(), key=lambda chain: (chain.at, chain.since), reverse=True)


def _of_alert(alert: Alert) -> Chain:
    opening = alert.opening
    steps = []
    for change in alert.changes:
        version = change.version
        if change.state == "drift":
            names = strongest(change.features)
            what = "alert" if change is opening else "drifts again"
            words = changed(names) or plain(change.reason)
            steps.append(Step(change.window_end, what, sentence(words), "alarm", version))
        elif change.state == "warning":
            steps.append(Step(change.window_end, "warning", sentence(plain(change.reason)), "wait", version))
        elif change.state == "recovered":
            words = "The newest window is quiet; a few more, and the alert is closed."
            steps.append(Step(change.window_end, "quiet again", words, "good", version))
        else:
            steps.append(Step(change.window_end, "closed", sentence(plain(change.reason)), "good", version))
    names = strongest(opening.features)
    title = KINDS.get(opening.kind, opening.kind)
    if opening.kind == "virtual" and names:
        title = sentence(f"{changed(names)} look{'s' * (len(names) == 1)} different")[:-1]
    return Chain(alert.id, opening.kind, title, alert.changes[-1].since, alert.version, alert.open, steps)


def _of_training(memory: Memory, decision: TrainingDecided) -> Chain:
    """A chain that no alert began, or one whose alert is not remembered."""
    kind = decision.trigger or "alert"
    chain = Chain(decision.alert_id, kind, "", decision.since, decision.champion_version, False, [])
    chain.title = OTHERS.get(kind, f"Alert {decision.alert_id[:SHORT]}, raised before what is remembered")
    request = memory.requests.get(decision.alert_id)
    if request is not None:
        by = f" by {request.requested_by}" if request.requested_by else ""
        chain.steps.append(
            Step(decision.as_of, "asked for", sentence(f"{request.reason or 'no reason given'}{by}"))
        )
    return chain


def _came(chain: Chain) -> str:
    if chain.answers:
        last = chain.answers[-1]
        return f"version {last.version} {last.what}" if last.version else last.what
    last = chain.steps[-1]
    if last.what == "closed":
        return f"closed: {last.words[:1].lower()}{last.words[1:].rstrip('.')}"
    return "nothing was done so far" if last.what == "alert" else last.what


def _told_once(decisions: Iterable[TrainingDecided]) -> list[TrainingDecided]:
    """Decisions in order; of one that waits for the same again and again the last."""
    told: list[TrainingDecided] = []
    place: dict[tuple[str, str | None], int] = {}
    for d in decisions:
        key = (d.alert_id, d.waits_for)
        if d.decision != "waiting":
            place = {known: at for known, at in place.items() if known[0] != d.alert_id}
        elif key in place:
            told[place[key]] = d
            continue
        else:
            place[key] = len(told)
        told.append(d)
    return told


def _decided(d: TrainingDecided) -> Step:
    tone: Tone = {"promoted": "good", "refused": "wait", "failed": "alarm", "waiting": "wait"}.get(
        d.decision, "plain"
    )  # type: ignore[assignment]
    what = "training" if d.decision == "started" else d.decision
    words = plain(d.reason).removeprefix("training: ").removeprefix("waiting: ")
    return Step(d.as_of, what, sentence(words), tone, d.challenger_version)


def _said(word: ChallengerReviewed, at: int) -> Step:
    what, tone = ("approved", GOOD) if word.approved else ("not approved", WAIT)
    return Step(
        at, what, sentence(f"by {word.reviewed_by or 'a person'}: {plain(word.reason)}"), tone, word.version
    )


def _last_looks(reviews: Iterable[PromotionReviewed]) -> list[PromotionReviewed]:
    return list(
        {review.version: review for review in sorted(reviews, key=lambda r: (r.as_of, r.look))}.values()
    )


def _reviewed(review: PromotionReviewed) -> Step:
    what = {"kept": "kept", "rolled_back": "does worse"}.get(review.verdict, "under review")
    tone: Tone = (
        "good" if review.verdict == "kept" else "alarm" if review.verdict == "rolled_back" else "plain"
    )
    words = f"look {review.look}, {plain(review.reason)}"
    return Step(review.as_of, what, sentence(words), tone, review.version)


def _serve(change: ModelChanged, chains: dict[str, Chain], promoted: dict[str, Chain]) -> None:
    """Who came to serve, where no decision says so already; a rollback belongs to what it undoes."""
    if change.action == "promoted" and change.version in promoted:
        return
    what = change.action.replace("_", " ")
    tone = WAIT if change.action == "rolled_back" else PLAIN
    words = plain(change.reason) or "no reason given"
    step = Step(change.effective_from, what, sentence(words), tone, change.version)
    undone = promoted.get(change.previous_version or "") if change.action == "rolled_back" else None
    if undone is not None:
        undone.steps.append(step)
        return
    key = f"{change.action}/{change.version}/{change.effective_from}"
    title = {"installed": "The first model", "rolled_back": "Back to an earlier version"}.get(
        change.action, f"Version {change.version} was promoted"
    )
    chains[key] = Chain("", change.action, title, change.effective_from, change.version, False, [step])
