"""The train of events: what raised an alert, or asked for a training, and what came of it step by step."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from contracts.events import ModelChanged, PromotionReviewed, TrainingDecided

from atalaia.drift.history import SHORT, Alert
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.steps import Step, accepted, alert_changed, decided, reviewed, said, serves
from atalaia.watch.domain.words import changed, sentence, strongest

KINDS = {
    "virtual": "Inputs or outputs look different",
    "real": "The same inputs mean something else",
    "quality": "The model does worse",
}
OTHERS = {"schedule": "A training by the schedule", "manual": "A training that was asked for"}
ANSWERS = ("promoted", "refused", "failed", "accepted", "rolled back")


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
        chain.steps.append(decided(decision))
        if decision.decision == "promoted" and decision.challenger_version is not None:
            promoted[decision.challenger_version] = chain
        for other in decision.answers:
            if other in chains and other != decision.alert_id and decision.decision in ANSWERS:
                chains[other].steps.append(decided(decision))
    for reference in memory.accepted.values():
        if reference.alert_id in chains:
            chains[reference.alert_id].steps.append(accepted(reference))
    for decision in memory.decisions.values():
        word = memory.approvals.get(decision.run_id)
        if word is not None and decision.waits_for == "approval" and decision.alert_id in chains:
            chains[decision.alert_id].steps.append(said(word, decision.as_of))
    for review in _last_looks(memory.reviews.values()):
        if review.version in promoted:
            promoted[review.version].steps.append(reviewed(review))
    for change in memory.changes.values():
        _serve(change, chains, promoted)
    for chain in chains.values():
        chain.steps.sort(key=lambda step: step.at)  # stable: of one moment in the order of their making
        chain.came = _came(chain)
    return sorted(chains.values(), key=lambda chain: (chain.at, chain.since), reverse=True)


def _of_alert(alert: Alert) -> Chain:
    opening = alert.opening
    steps = [alert_changed(change, opening=change is opening) for change in alert.changes]
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


def _last_looks(reviews: Iterable[PromotionReviewed]) -> list[PromotionReviewed]:
    return list(
        {review.version: review for review in sorted(reviews, key=lambda r: (r.as_of, r.look))}.values()
    )


def _serve(change: ModelChanged, chains: dict[str, Chain], promoted: dict[str, Chain]) -> None:
    """Who came to serve, where no decision says so already; a rollback belongs to what it undoes."""
    if change.action == "promoted" and change.version in promoted:
        return
    step = serves(change)
    undone = promoted.get(change.previous_version or "") if change.action == "rolled_back" else None
    if undone is not None:
        undone.steps.append(step)
        return
    key = f"{change.action}/{change.version}/{change.effective_from}"
    title = {"installed": "The first model", "rolled_back": "Back to an earlier version"}.get(
        change.action, f"Version {change.version} was promoted"
    )
    chains[key] = Chain("", change.action, title, change.effective_from, change.version, False, [step])
