"""Whether an open alert is worth a training now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from contracts.events import TrainingDecided

GROWTH = 1.25  # what was judged is judged again when the alert's labelled rows have grown by a quarter


@dataclass(frozen=True)
class Step:
    """What to do at a boundary, in plain words."""

    decision: Literal["started", "waiting"]
    reason: str


def consider(
    labelled: int,
    needed: int,
    complete: float,
    last: TrainingDecided | None,
    point: str = "the change point",
    failures: int = 0,
    attempts: int = 3,
) -> Step | None:
    """What to do about an open alert with ``labelled`` rows since its change point; ``None``: nothing new.

    ``last`` is the newest finished decision about this alert. A failure judged nothing: the next boundary tries
    again, until there are ``attempts`` failures :func:`on_these_rows`.
    """
    if failures >= attempts:
        return None
    said = last.decision if last else None
    before = last.rows.get("labelled", 0) if last else 0
    if said in ("refused", "promoted") and not grown(before, labelled):
        return None
    if labelled < needed:
        if said == "waiting" and labelled <= before:
            return None  # said already
        return Step(
            "waiting",
            f"waiting: {labelled} of {needed} labelled rows since {point} "
            f"(up to the newest window with {complete:.0%} of its labels)",
        )
    again = f", {said} before with {before}" if said not in (None, "waiting") else ""
    if failures:
        again += f", attempt {failures + 1} of {attempts}"
    return Step("started", f"training: {labelled} labelled rows since {point}{again}")


def on_these_rows(failed: Iterable[TrainingDecided], labelled: int) -> int:
    """How many of an alert's failures were on the same rows: those that have not grown by a quarter since.

    >>> on_these_rows([], 100)
    0
    """
    return sum(not grown(run.rows.get("labelled", 0), labelled) for run in failed)


def grown(before: int, labelled: int) -> bool:
    """Whether rows have come to be a quarter more."""
    return labelled >= ceil(GROWTH * max(before, 1))


def attempted(attempt: int, attempts: int) -> str:
    """What the reason of a failure says of attempts.

    >>> attempted(1, 2)
    '(attempt 1 of 2 on these rows)'
    >>> attempted(2, 2)
    '(attempt 2 of 2 on these rows: the next is made when they have grown by a quarter)'
    """
    until = "" if attempt < attempts else ": the next is made when they have grown by a quarter"
    return f"(attempt {attempt} of {attempts} on these rows{until})"
