"""What is to be done at a boundary about all that asks for a training: one run that answers it, or a wait that says for what.

What asks for a training is *due* where no run has answered it, or where the rows on which it was judged have grown by a quarter. The
run's world begins at the latest change since which there are rows enough; it answers all that is open and whose change
is not later. A later one has rows of its own to wait for: it was not judged, and the quarter rule does not bind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from contracts.events import TrainingDecided

from trainer.domain.history import History, for_rows
from trainer.domain.pause import Hold
from trainer.domain.triggers import ASKED, Trigger

GROWTH = 1.25  # what was judged is judged again when its labelled rows have grown by a quarter
Count = Callable[[int], int]  # how many labelled rows there are since an event time, as of a boundary


@dataclass(frozen=True)
class Ask:
    """A trigger that is open at a boundary; ``since`` is where rows count as new, ``failures`` those on the rows there are.

    ``said``: that it waits has been said as of this very boundary. Once is enough, whatever has changed in between.
    """

    trigger: Trigger
    since: int
    due: bool
    failures: int
    last: TrainingDecided | None
    answer: TrainingDecided | None
    said: bool = False

    def told(self, hold: Hold) -> bool:
        """Whether it has been said that it waits for this, be it in words of its own or by the run that is not over."""
        last = self.last
        return self.said or (
            last is not None
            and last.decision == "waiting"
            and not for_rows(last)
            and last.as_of >= hold.since
        )

    def waits(self, since: int, labelled: int) -> bool:
        """Whether it has been said that it waits for more rows than these."""
        last = self.last
        return self.said or (
            last is not None
            and for_rows(last)
            and last.since == since
            and last.rows.get("labelled", 0) >= labelled
        )


@dataclass(frozen=True)
class Need:
    """The labelled rows since a point, and how many a training takes; ``about``: by a learning curve, not by a setting."""

    labelled: int
    rows: int
    about: bool = False
    classes: Mapping[str, int] = field(default_factory=dict)
    each: int = 0  # rows of each class

    @property
    def scarce(self) -> list[str]:
        """The classes with too few rows, in words."""
        few = {name: n for name, n in self.classes.items() if n < self.each}
        return [f'{n} of {self.each} of class "{name}"' for name, n in few.items()]

    @property
    def met(self) -> bool:
        """Whether a training may begin."""
        return self.labelled >= self.rows and not self.scarce


@dataclass(frozen=True)
class Step:
    """What to do at a boundary, in plain words; ``asks`` are what it answers or what waits, the first one first."""

    decision: Literal["started", "waiting"]
    reason: str
    since: int
    asks: Sequence[Ask]
    waits_for: Literal["rows"] | None = None
    attempt: int | None = None


def ask(trigger: Trigger, since: int, boundary: int, history: History, count: Count, attempts: int) -> Ask:
    """How a trigger stands at a boundary, by what was said of it and the rows there are now."""
    answer, last = history.answer(trigger.alert_id), history.last(trigger.alert_id)
    failures = sum(
        not grown(run.rows.get("labelled", 0), count(run.since)) for run in history.failed(trigger.alert_id)
    )
    new = answer is None or answer.decision == "failed"
    due = failures < attempts and (
        new or (answer is not None and grown(answer.rows.get("labelled", 0), count(answer.since)))
    )
    said = last is not None and last.decision == "waiting" and last.as_of == boundary
    return Ask(trigger, since, due, failures, last, answer, said)


def unheld(asks: Sequence[Ask], hold: Hold | None) -> list[Ask]:
    """What is due and nothing holds back; the pause holds back no person."""
    return [
        each
        for each in asks
        if each.due and (hold is None or (each.trigger.kind == "manual" and not hold.all))
    ]


def consider(
    asks: Sequence[Ask],
    needs: Mapping[int, Need],
    complete: float,
    hold: Hold | None = None,
    attempts: int = 3,
) -> list[Step]:
    """One step that starts a run; or what waits, where that is news: for rows, or because ``hold`` holds it back.

    ``needs``: by each ``since``, where anything is :func:`unheld`. ``complete``: the share of labels that a window must have.
    """
    due = [each for each in asks if each.due]
    free = unheld(asks, hold)
    held = [each for each in due if each not in free]
    if free:
        # A person and the schedule ask about the world as it is now, whether or not it has been judged before.
        worlds = asks if any(each.trigger.kind in ASKED for each in free) else due
        for since in sorted({each.since for each in worlds}, reverse=True):
            answered = [each for each in due if each.since <= since]
            if needs[since].met and any(each in free for each in answered):
                beside = [each for each in asks if not each.due and each.since <= since]
                return [_start(since, [*answered, *beside], needs[since].labelled, attempts)]
    steps = []
    if hold is not None and (untold := [each for each in held if not each.told(hold)]):
        steps.append(Step("waiting", f"waiting: {hold.reason}", untold[0].since, untold))
    if free:
        since = max((each.since for each in free), key=lambda s: (needs[s].labelled / needs[s].rows, s))
        if news := [each for each in free if not each.waits(since, needs[since].labelled)]:
            steps.append(_wait(since, news, needs[since], complete))
    return steps


def _start(since: int, asks: Sequence[Ask], labelled: int, attempts: int) -> Step:
    first, answer = asks[0], asks[0].answer
    failures = max(each.failures for each in asks if each.due)
    again = f", {answer.decision} before with {answer.rows.get('labelled', 0)}" if answer else ""
    again += f", attempt {failures + 1} of {attempts}" if failures else ""
    reason = f"training: {labelled} labelled rows since {_point(since, asks)}{again}"
    words = "".join(dict.fromkeys(each.trigger.words for each in asks if each.due or each is first))
    return Step("started", reason + words, since, asks, attempt=failures + 1)


def _wait(since: int, asks: Sequence[Ask], need: Need, complete: float) -> Step:
    about = "about " if need.about else ""
    scarce = "".join(f", and {words}" for words in need.scarce)
    words = "".join(dict.fromkeys(each.trigger.words for each in asks))
    reason = (
        f"waiting: {need.labelled} of {about}{need.rows} labelled rows since {_point(since, asks)} "
        f"(up to the newest window with {complete:.0%} of its labels){scarce}{words}"
    )
    return Step("waiting", reason, since, asks, "rows")


def _point(since: int, asks: Sequence[Ask]) -> str:
    kinds = [each.trigger.kind for each in asks if each.since == since]
    return "the last training" if kinds and all(kind in ASKED for kind in kinds) else "the change point"


def grown(before: int, labelled: int) -> bool:
    """Whether rows have come to be a quarter more.

    >>> grown(100, 124), grown(100, 125)
    (False, True)
    """
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
