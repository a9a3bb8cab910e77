"""What is not over yet: a training that runs, a winner that waits, a promotion that is looked at; and whose turn it is."""

from __future__ import annotations

import shlex

import msgspec
from contracts.events import PromotionReviewed, TrainingDecided

from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import lasting, named, plain, sentence, utc


class Command(msgspec.Struct, frozen=True):
    """A ``line`` to be pasted into a shell, and what it ``does``."""

    line: str
    does: str


class Turn(msgspec.Struct, frozen=True):
    """Something that waits for a person: what, and the ``commands`` that answer it."""

    words: str
    commands: list[Command]


def winner(memory: Memory) -> TrainingDecided | None:
    """The run whose challenger has won and is not over."""
    runs = [
        r for r in memory.runs.values() if r.decision == "waiting" and r.waits_for in ("shadow", "approval")
    ]
    return runs[-1] if runs else None


def turn_of(memory: Memory) -> Turn | None:
    """Whether it is a person's turn: a winner waits for approval, or a version that does worse serves on."""
    model, run, looks = shlex.quote(memory.model), winner(memory), memory.looks
    if run is not None and run.waits_for == "approval" and run.run_id not in memory.approvals:
        ago, new, now = memory.newest - run.as_of, run.challenger_version, run.champion_version
        waited = f" ({lasting(ago)} so far)" if ago > 0 else ""
        return Turn(
            f"Version {new} waits for your approval since {utc(run.as_of)}{waited}; version {now} serves until then.",
            [
                Command(f"atalaia approve {model}", "See the evidence first (changes nothing)"),
                Command(f'atalaia approve {model} --reason "..."', f"Yes: version {new} serves"),
                Command(f'atalaia refuse {model} --reason "..."', f"No: version {now} stays"),
            ],
        )
    if looks and looks[-1].verdict == "rolled_back":
        look = looks[-1]
        return Turn(
            f"Version {look.version} does worse than version {look.previous_version} and serves on.",
            [
                Command(
                    f'atalaia model rollback {model} --reason "..."',
                    f"Version {look.previous_version} serves again",
                )
            ],
        )
    return None


def review_of(memory: Memory) -> str:
    """How the review of the version that serves stands; empty where there is none."""
    serving = memory.serving
    if serving is None or serving.action != "promoted" or serving.previous_version is None:
        return ""
    if not memory.looks:
        return f"Review so far: too few rows of version {serving.version} are labelled for a look at it."
    look = memory.looks[-1]
    match look.verdict:
        case "kept":
            return f"Kept {utc(look.as_of)}: {compared(look)}."
        case "rolled_back":  # which is the first line
            return ""
    return f"Review so far: undecided. {sentence(compared(look))}"


def compared(look: PromotionReviewed) -> str:
    """What a look saw: both versions on the same rows, which only one of them has served.

    >>> compared(PromotionReviewed(
    ...     model="m", version="2", previous_version="1", as_of=0, look=1, rows=1164, metric="accuracy", metrics={}, gain=0,
    ...     low=0, high=0, confidence=0.9, verdict="undecided",
    ...     reason="undecided: accuracy 0.9050 against the predecessor's 0.8710 on 1164 rows it has served (gain +0.034)"))
    'accuracy 0.9050 on the 1164 rows that version 2 has served; on the same rows version 1 would have scored 0.8710'
    """
    figures = named(plain(look.reason), look.previous_version).partition(" (")[0].partition(": ")[2]
    return figures.replace(" rows it has served", f" rows that version {look.version} has served")


def under_review(memory: Memory) -> bool:
    """Whether the version that serves was promoted and may still be rolled back by itself."""
    serving = memory.serving
    promoted = serving is not None and serving.action == "promoted" and serving.previous_version is not None
    return promoted and (not memory.looks or memory.looks[-1].verdict == "undecided")
