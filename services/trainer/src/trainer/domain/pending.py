"""What is said of a run after its challenge: it shadows, it waits for a person, it serves, or it does not."""

from __future__ import annotations

from contracts.events import ChallengerReviewed, ModelChanged, TrainingDecided
from msgspec.structs import replace

from trainer.domain.challenge import Verdict
from trainer.domain.spans import DAY

ASKS = "waiting for approval: "


def progress(rows: int | None, needed: int, answers: bool = True) -> str:
    """How far a shadow period is; ``rows`` are None until they are counted, ``answers`` is whether there are any.

    >>> progress(120, 500)
    'waiting: 120 of 500 labelled rows of live traffic in shadow'
    >>> progress(0, 500, answers=False)
    'waiting: no answers yet, 0 of 500 labelled rows of live traffic in shadow'
    >>> progress(None, 500)
    'waiting: 500 labelled rows of live traffic in shadow are wanted, and counted at the next boundary'
    """
    if rows is None:
        return f"waiting: {needed} labelled rows of live traffic in shadow are wanted, and counted at the next boundary"
    begins = "waiting: " if answers else "waiting: no answers yet, "
    return f"{begins}{rows} of {needed} labelled rows of live traffic in shadow"


def overdue(version: str, rows: int, needed: int, answers: bool, timeout: int) -> str:
    """Why a shadow period is over that has lasted ``timeout`` ms of event time.

    >>> overdue("2", 120, 500, True, 30 * DAY)
    '120 of 500 labelled rows of live traffic in shadow after 30 days (ATALAIA_SHADOW_TIMEOUT_MS)'
    >>> overdue("2", 0, 500, False, DAY // 2)
    'no predictor has answered with version 2 in shadow within 0.5 days (ATALAIA_SHADOW_TIMEOUT_MS)'
    """
    days = f"{timeout / DAY:g} days (ATALAIA_SHADOW_TIMEOUT_MS)"
    if not answers:
        return f"no predictor has answered with version {version} in shadow within {days}"
    return f"{rows} of {needed} labelled rows of live traffic in shadow after {days}"


def shadows(won: TrainingDecided, needed: int) -> TrainingDecided:
    """A winner that has to win again on rows it scores unseen."""
    begins = progress(0, needed, answers=False)
    return replace(won, decision="waiting", waits_for="shadow", reason=f"{begins}; {won.reason}")


def asks(won: TrainingDecided) -> TrainingDecided:
    """A winner that waits for a person."""
    return replace(won, decision="waiting", waits_for="approval", reason=f"{ASKS}{won.reason}")


def shadowed(run: TrainingDecided, verdict: Verdict, rows: int, as_of: int) -> TrainingDecided:
    """What the second challenge, on so many rows scored unseen, says of a run as of a boundary."""
    return replace(
        run,
        decision="promoted" if verdict.promoted else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"in shadow {verdict.reason}",
        rows=run.rows | {"shadow": rows},
        metrics=verdict.metrics,
        gain=verdict.gain,
        p_value=verdict.p_value,
        guardrails=verdict.guardrails,
    )


def reviewed(run: TrainingDecided, said: ChallengerReviewed, as_of: int) -> TrainingDecided:
    """What a person's word makes of a run that waits, as of the newest boundary considered."""
    by = f" by {said.reviewed_by}" if said.reviewed_by else ""
    word = "approved" if said.approved else "refused"
    why = f": {said.reason}" if said.reason else ""
    return replace(
        run,
        decision="promoted" if said.approved else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"{word}{by}{why}; {run.reason.removeprefix(ASKS)}",
    )


def heeded(refused: TrainingDecided, labelled: int) -> TrainingDecided:
    """What a person has refused: it is made again when the ``labelled`` rows as of then, not as of its beginning, have grown."""
    return replace(refused, rows=refused.rows | {"labelled": max(labelled, refused.rows.get("labelled", 0))})


def serves(run: TrainingDecided, serving: ModelChanged) -> TrainingDecided:
    """A run whose challenger has come to serve without it, or by its own event before a crash."""
    return replace(
        run,
        decision="promoted",
        waits_for=None,
        as_of=max(run.as_of, serving.effective_from),
        reason=serving.reason
        if own(run, serving)
        else f"it serves already: {serving.reason or 'no reason given'}",
    )


def own(run: TrainingDecided, serving: ModelChanged) -> bool:
    """Whether a change is this run's promotion; its reason is then the verdict's."""
    return (serving.action, serving.version, serving.previous_version) == (
        "promoted",
        run.challenger_version,
        run.champion_version,
    )


def ended(run: TrainingDecided, why: str, as_of: int, *, failed: bool = False) -> TrainingDecided:
    """A run that something else has ended, with the figures it had."""
    return replace(
        run,
        decision="failed" if failed else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"failed: {why}" if failed else f"{why}; {run.reason.removeprefix(ASKS)}",
    )
