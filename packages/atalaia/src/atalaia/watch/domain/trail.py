"""The train of events: what raised an alert, or asked for a training, and what came of it step by step."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from contracts.events import ModelChanged, PromotionReviewed, TrainingDecided

from atalaia.drift.history import SHORT, Alert
from atalaia.watch.domain.chain import KINDS, OTHERS, Chain, came
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.runs import of_run, told_once
from atalaia.watch.domain.steps import accepted, alert_changed, asked, reviewed, serves
from atalaia.watch.domain.words import changed, sentence, strongest


def trail(memory: Memory) -> list[Chain]:
    """All chains, the newest first, each with its steps in order."""
    opened = {alert.id for alert in memory.opened}
    chains = {alert.id: _of_alert(alert, is_open=alert.id in opened) for alert in reversed(memory.alerts)}
    promoted: dict[str, Chain] = {}
    runs: dict[str, list[TrainingDecided]] = {}
    for decision in told_once(memory.decisions.values()):
        runs.setdefault(decision.run_id, []).append(decision)
    for run in runs.values():
        _train(memory, run, chains, promoted)
    for request in memory.requests.values():
        if request.request_id not in chains and not _answered(memory, request.request_id):
            chain = Chain(
                request.request_id, "manual", OTHERS["manual"], 0, None, True, [asked(request, memory.newest)]
            )
            chains[request.request_id] = chain
    for reference in memory.accepted.values():
        if reference.alert_id in chains:
            chains[reference.alert_id].steps.append(accepted(reference))
    for review in _last_looks(memory.reviews.values()):
        if review.version in promoted:
            promoted[review.version].steps.append(reviewed(review))
    for change in memory.changes.values():
        _serve(memory, change, chains, promoted)
    for chain in chains.values():
        chain.steps.sort(key=lambda step: step.at)  # stable: of one moment in the order of their making
        chain.came = came(chain)
    return sorted(chains.values(), key=lambda chain: (chain.at, chain.since), reverse=True)


def _train(
    memory: Memory, run: list[TrainingDecided], chains: dict[str, Chain], promoted: dict[str, Chain]
) -> None:
    """All words on one run: in the chain of what asked for it, and without the figures in those that it answers too."""
    last, steps = run[-1], of_run(run, memory.approvals.get(run[-1].run_id))
    chain = chains.get(last.alert_id) or _of_training(memory, last)
    chains[last.alert_id] = chain
    chain.steps += steps
    if chain.kind in OTHERS:
        chain.open = last.decision == "started" or last.waits_for in ("shadow", "approval") or _asked(last)
    if last.decision == "promoted" and last.challenger_version is not None:
        promoted[last.challenger_version] = chain
    for other in last.answers:
        if other in chains and other != last.alert_id:
            chains[other].steps += [msgspec.structs.replace(step, evidence=[]) for step in steps]


def _of_alert(alert: Alert, *, is_open: bool) -> Chain:
    opening = alert.opening
    steps = [alert_changed(change, opening=change is opening) for change in alert.changes]
    names = strongest(opening.features)
    title = KINDS.get(opening.kind, opening.kind)
    if opening.kind == "virtual" and names:
        title = sentence(f"{changed(names)} look{'s' * (len(names) == 1)} different")[:-1]
    return Chain(alert.id, opening.kind, title, alert.changes[-1].since, alert.version, is_open, steps)


def _of_training(memory: Memory, decision: TrainingDecided) -> Chain:
    """A chain that no alert began, or one whose alert is not remembered."""
    kind = decision.trigger or "alert"
    chain = Chain(decision.alert_id, kind, "", decision.since, decision.champion_version, False, [])
    chain.title = OTHERS.get(kind, f"Alert {decision.alert_id[:SHORT]}, raised before what is remembered")
    request = memory.requests.get(decision.alert_id)
    if request is not None:
        chain.steps.append(asked(request, decision.as_of))
    return chain


def _asked(last: TrainingDecided) -> bool:
    """Whether a person still waits for an answer; a period of the schedule ends with the next one."""
    return last.trigger == "manual" and last.decision == "waiting"


def _answered(memory: Memory, request: str) -> bool:
    return any(request in d.answers for d in memory.decisions.values())


def _last_looks(reviews: Iterable[PromotionReviewed]) -> list[PromotionReviewed]:
    return list(
        {review.version: review for review in sorted(reviews, key=lambda r: (r.as_of, r.look))}.values()
    )


def _serve(
    memory: Memory, change: ModelChanged, chains: dict[str, Chain], promoted: dict[str, Chain]
) -> None:
    """Who came to serve, where no decision says so already; a rollback belongs to what it undoes."""
    if change.action == "promoted" and change.version in promoted:
        return
    step = serves(change, by_itself=by_itself(memory, change))
    undone = promoted.get(change.previous_version or "") if change.action == "rolled_back" else None
    if undone is not None:
        undone.steps.append(step)
        return
    key = f"{change.action}/{change.version}/{change.effective_from}"
    title = {"installed": "The first model", "rolled_back": "Back to an earlier version"}.get(
        change.action, f"Version {change.version} was promoted"
    )
    chains[key] = Chain("", change.action, title, change.effective_from, change.version, False, [step])


def by_itself(memory: Memory, change: ModelChanged) -> bool:
    """Whether a rollback is a review's: it has that look's reason."""
    return change.action == "rolled_back" and any(
        look.version == change.previous_version
        and look.verdict == "rolled_back"
        and look.reason == change.reason
        for look in memory.reviews.values()
    )
