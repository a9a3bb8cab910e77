"""What is left for a person to do, in every state: nothing, and how it goes on by itself, or what waits for a word."""

from __future__ import annotations

from contracts.events import PromotionReviewed

from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.pending import under_review
from atalaia.watch.domain.steps import APPROVED, LABELS, NOT_APPROVED, SHADOW, Step
from atalaia.watch.domain.windows import own, spoken

NOTHING = "Nothing."
REVIEW_ROWS = 2_000  # unless ATALAIA_REVIEW_ROWS says otherwise, which is on no topic
MOVES = {
    "training": "Nothing: a training runs by itself, and how it ends is said here.",
    "waiting": "Nothing: the trainer goes on by itself.",
    "refused": "Nothing: the trainer tries again by itself once more rows are labelled.",
    "failed": "Nothing yet: the trainer tries again by itself, a few times; if it goes on failing, its log says why.",
    SHADOW: "Nothing: the trial on live traffic ends by itself once its rows are labelled.",
    APPROVED: "Nothing: the trainer acts on the word that was given by itself, at its next boundary.",
    NOT_APPROVED: "Nothing: the trainer acts on the word that was given by itself, at its next boundary.",
}


def nothing_to_do(memory: Memory, move: Step | None, *, alerted: bool, steady: bool) -> str:
    """Why nothing waits for a person, and what goes on by itself.

    ``move``: what the trainer did last about what is open; ``alerted``: an alert is open; ``steady``: nothing is wrong.
    """
    if move is not None:
        return _of(move)
    serving = memory.serving
    if serving is not None and under_review(memory):
        return _review(serving.version, memory.looks[-1] if memory.looks else None)
    if alerted:
        return "Nothing yet: the trainer decides by itself what comes of the alert, and it is said here."
    if serving is not None and not own(memory, spoken(memory)):
        if serving.action == "rolled_back":
            return (
                f"Nothing: if version {serving.version} raises an alert again, a new training starts by itself "
                "once enough rows are labelled."
            )
        return "Nothing: it is judged by itself once a window has rows enough."
    return (
        NOTHING
        if steady
        else "Nothing: if it goes on, there is an alert, and an alert asks for a training by itself."
    )


def _of(move: Step) -> str:
    if move.what == LABELS:
        if move.progress is None:
            return "Nothing: a training starts by itself once enough rows are labelled."
        labelled, needed = move.progress
        return f"Nothing: a training starts by itself at {needed:,} labelled rows ({labelled:,} now)."
    return MOVES.get(move.what, MOVES["waiting"])


def _review(version: str, look: PromotionReviewed | None) -> str:
    now = f" ({look.rows:,} so far)" if look else ""
    return (
        f"Nothing: the review ends by itself. By default it keeps version {version} at {REVIEW_ROWS:,} labelled rows{now}, "
        "or rolls it back sooner if it does worse."
    )
