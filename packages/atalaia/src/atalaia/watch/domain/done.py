"""What was done about an alert, in a few sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from atalaia.drift.explain import when
from atalaia.drift.history import Alert
from atalaia.watch.domain.chain import Chain
from atalaia.watch.domain.steps import APPROVAL, APPROVED, LABELS, NOT_APPROVED, SCORES, SHADOW, Step
from atalaia.watch.domain.words import utc

MOST_REFUSALS = 2
ASIDE = re.compile(r" ?\([^()]*\)|, trained on '[^']*', chosen among \d+")
WORDS = (APPROVED, NOT_APPROVED)
PENDING = {"waiting", LABELS, SHADOW, APPROVAL, "training", "promoted", "refused", "failed"}


def answers_to(alerts: Iterable[Alert], chains: Sequence[Chain]) -> str:
    """What was done about some alerts, be it nothing."""
    wanted = {alert.id for alert in alerts}
    said = [done(chain) for chain in chains if chain.id in wanted]
    return "\n".join(dict.fromkeys(filter(None, said))) or "Nothing was done about it yet."


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
    told += [said for step in chain.steps if step not in skipped and (said := told_of(step))]
    told.append(_goes_on(chain))
    return "\n".join(filter(None, told))


def _goes_on(chain: Chain) -> str:
    """What is not over yet; of an alert that is closed only a winner that waits."""
    pending = [s for s in chain.steps if s.what in PENDING]
    if not pending:
        return ""
    last, version = pending[-1], f"Version {pending[-1].version}"
    word = next((s for s in reversed(chain.steps) if s.what in WORDS and s.version == last.version), None)
    match last.what:
        case "waiting for approval" if word is not None:
            return f"{version} was {word.what} {_lower(word.words)}; the trainer has not acted on it yet."
        case "waiting for approval":
            return f"{version} was trained and did better{_figures(last)}; it waits for approval."
        case "in shadow":
            why, _, then = ASIDE.sub("", last.words).partition(SCORES)
            scores = f"; since {utc(last.at)} it scores{then}" if then else "."
            return f"{version} was trained and did better{_figures(why)}{scores}"
    if not chain.open:
        return ""
    match last.what:
        case "training":
            return f"A training runs since {when(last.at)}{_why(last)}."
        case "waiting for labels":
            begins = "No training runs now" if chain.answers else "No training yet"
            return f"{begins}: the trainer waits for labels, {_lower(ASIDE.sub('', last.words))}."
        case "waiting":
            return f"The trainer waits{_why(last)}."
    return ""


def promoted_of(chain: Chain, version: str) -> str:
    """When a version was promoted and why, as a line.

    >>> promoted = Step(0, "promoted", "Better: accuracy 0.9 against version 1's 0.5 (p = 0.1).", "good", "2")
    >>> promoted_of(Chain("a", "virtual", "", 0, "1", False, [promoted]), "2")
    "Promoted 1970-01-01 00:00 UTC: accuracy 0.9 against version 1's 0.5."
    """
    found = [step for step in chain.steps if (step.what, step.version) == ("promoted", version)]
    why = _figures(found[-1])[2:-1] if found else ""
    return f"Promoted {utc(found[-1].at)}{f': {why}' if why else ''}." if found else ""


def told_of(step: Step) -> str:
    """A step that is an answer as a sentence; empty for any other.

    >>> told_of(Step(0, "rolled back", "By hand: complaints; version 1 serves again.", "wait", "2"))
    'Version 2 was rolled back by hand on 1970-01-01 00:00 (complaints; version 1 serves again).'
    """
    who = f"Version {step.version}" if step.version else "A training"
    match step.what:
        case "refused" | "promoted":
            return f"{who} was {step.what} on {when(step.at)}{_why(step)}."
        case "failed":
            return f"A training failed on {when(step.at)}{_why(step)}."
        case "rolled back":
            how, _, why = _lower(ASIDE.sub("", step.words)).partition(": ")
            return f"{who} was rolled back {how} on {when(step.at)} ({why})."
        case "accepted":
            return step.words
        case _:
            return ""


def _why(step: Step) -> str:
    """The reason in brackets, without what is in brackets in it or aside: the train of events has it in full."""
    words = _lower(ASIDE.sub("", step.words))
    return f" ({words})" if words else ""


def _figures(of: Step | str) -> str:
    """The figures in brackets, without the word before them that says that they are better."""
    words = of if isinstance(of, str) else ASIDE.sub("", of.words)
    words = words.partition(": ")[2].strip().rstrip(".") or _lower(words)
    return f" ({words})" if words else ""


def _lower(words: str) -> str:
    words = words.strip().rstrip(".")
    return f"{words[:1].lower()}{words[1:]}"
