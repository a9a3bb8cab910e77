"""All words on one training, and a person's between them, as steps in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from contracts.events import ChallengerReviewed, TrainingDecided

from atalaia.watch.domain.steps import Step, decided, said

ENDS = ("promoted", "refused", "failed")


def told_once(decisions: Iterable[TrainingDecided]) -> list[TrainingDecided]:
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


def of_run(run: Sequence[TrainingDecided], word: ChallengerReviewed | None) -> list[Step]:
    """The steps of a run; a person's ``word`` stands before the end that heeds it, or last where none does yet.

    Figures stand where they were said last, so that no table comes twice.
    """
    steps = [decided(d) for d in run]
    if word is not None:
        ends = [at for at, d in enumerate(run) if d.decision in ENDS]
        at = ends[-1] if ends else len(steps)
        pending = [d.as_of for d in run[:at] if d.decision == "waiting"]
        if pending:
            steps.insert(at, said(word, pending[-1]))
    later: list[object] = []
    for at in reversed(range(len(steps))):
        evidence = [table for table in steps[at].evidence if table not in later]
        later += evidence
        steps[at] = msgspec.structs.replace(steps[at], evidence=evidence)
    return steps
