"""What was done about an alert, in a few sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from atalaia.drift.explain import when
from atalaia.drift.history import Alert
from atalaia.watch.domain.steps import Step
from atalaia.watch.domain.trail import Chain

MOST_REFUSALS = 2
BRACKETS = re.compile(r" ?\([^()]*\)")
PENDING = {"waiting", "training", "promoted", "refused", "failed"}


def answers_to(alerts: Iterable[Alert], chains: Sequence[Chain]) -> str:
    """What was done about some alerts, be it nothing."""
    wanted = {alert.id for alert in alerts}
    said = [done(chain) for chain in chains if chain.id in wanted]
    return " ".join(dict.fromkeys(filter(None, said))) or "Nothing yet: no training has been decided on."


def done(chain: Chain) -> str:
    """What was done, oldest first; empty where nothing was.

    >>> refused = Step(0, "refused", "Not better: accuracy 0.5 against 0.6 (p = 1).", "wait", "2")
    >>> done(Chain("a", "virtual", "", 0, "1", False, [refused]))
    'Version 2 was refused on 1970-01-01 00:00 (not better: accuracy 0.5 against 0.6).'
    """
    came_to_nothing = [s for s in chain.steps if s.what in {"refused", "failed"}]
    told = (
        []
        if len(came_to_nothing) <= MOST_REFUSALS
        else [f"{len(came_to_nothing) - 1} trainings came to nothing."]
    )
    skipped = came_to_nothing[:-1] if told else []
    told += [said for step in chain.steps if step not in skipped and (said := _said(step))]
    pending = [s for s in chain.steps if s.what in PENDING]
    if pending and pending[-1].what == "training":
        told.append(f"A training runs since {when(pending[-1].at)}{_why(pending[-1])}.")
    elif pending and pending[-1].what == "waiting":
        told.append(f"The trainer waits{_why(pending[-1])}.")
    elif pending and pending[-1].what == "refused" and chain.open:
        told.append("The trainer tries again once more rows are labelled.")
    return " ".join(told)


def _said(step: Step) -> str:
    who = f"Version {step.version}" if step.version else "A training"
    match step.what:
        case "refused" | "promoted":
            return f"{who} was {step.what} on {when(step.at)}{_why(step)}."
        case "failed":
            return f"A training failed on {when(step.at)}{_why(step)}."
        case "rolled back":
            return f"Version {step.version} serves again since {when(step.at)}{_why(step)}."
        case "accepted":
            return step.words
        case _:
            return ""


def _why(step: Step) -> str:
    """The reason in brackets, without what is in brackets in it: the train of events has it in full."""
    words = BRACKETS.sub("", step.words).strip().rstrip(".")
    return f" ({words[:1].lower()}{words[1:]})" if words else ""
