"""What a challenger must not do, however much better it is on the whole: lose a class, answer far more slowly, grow.

A class is lost where the champion's recall of it falls by more than a share of itself, and more than chance explains:
McNemar's exact test (McNemar 1947) on the rows of that class. A share, not a difference: a champion that came to say
one class only has a recall of 1 there, and any better model has less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.events import GuardrailSeen
from summaries.labels import names_of

from trainer.domain.challenge import Scored, Verdict, mcnemar
from trainer.domain.columns import Array

CHANCE = (
    0.05  # a fall of recall that is more likely than this under no change is not held against the challenger
)


@dataclass(frozen=True)
class Limits:
    """The share of its recall that a class may lose, and how many times slower and larger a challenger may be."""

    recall_loss: float
    latency_ratio: float
    size_ratio: float


def recalls(truth: Array, champion: Scored, challenger: Scored, limit: float) -> dict[str, GuardrailSeen]:
    """By class the share of the champion's recall that the challenger loses; ``truth`` are the holdout's labels [rows].

    >>> import numpy as np
    >>> truth, said = np.array(["a"] * 10 + ["b"] * 10), np.array(["a"] * 20)
    >>> recalls(truth, Scored(truth), Scored(said), 0.9)["recall of b"]
    GuardrailSeen(seen=1.0, limit=0.9, held=False)
    """
    names = names_of(truth)
    old, new = (names_of(scored.predictions) == names for scored in (champion, challenger))
    found = {}
    for name in sorted(set(names.tolist())):
        rows = names == name
        was, is_ = float(old[rows].mean()), float(new[rows].mean())
        if not was:
            continue
        lost = (was - is_) / was
        # In the other direction: how likely the champion wins so many rows by chance.
        held = lost <= limit or mcnemar(new[rows], old[rows]) > CHANCE
        found[f"recall of {name}"] = GuardrailSeen(seen=lost, limit=limit, held=held)
    return found


def costs(latency_ratio: float, size_ratio: float, limits: Limits) -> dict[str, GuardrailSeen]:
    """How many times slower and larger than the champion the challenger is."""
    return {
        "latency": _at_most(latency_ratio, limits.latency_ratio),
        "size": _at_most(size_ratio, limits.size_ratio),
    }


def guarded(verdict: Verdict, found: Mapping[str, GuardrailSeen]) -> Verdict:
    """The verdict with what its guardrails saw: a promotion that breaks one is none."""
    broken = [f"{name} {_words(name, seen)}" for name, seen in found.items() if not seen.held]
    if not verdict.promoted or not broken:
        return replace(verdict, guardrails=dict(found))
    return replace(
        verdict,
        promoted=False,
        guardrails=dict(found),
        reason=f"guardrail: {'; '.join(broken)}; otherwise {verdict.reason}",
    )


def _at_most(seen: float, limit: float) -> GuardrailSeen:
    return GuardrailSeen(seen=seen, limit=limit, held=seen <= limit)


def _words(name: str, seen: GuardrailSeen) -> str:
    if name.startswith("recall"):
        return f"falls by {seen.seen:.0%}, at most {seen.limit:.0%} may be lost"
    return f"is {seen.seen:.1f} times the champion's, at most {seen.limit:g} times is allowed"
