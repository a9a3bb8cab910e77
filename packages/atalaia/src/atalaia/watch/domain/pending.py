"""What is not over yet: a training that runs, a winner that waits, a promotion that is looked at; and whose turn it is."""

from __future__ import annotations

import shlex

import msgspec
from contracts.events import TrainingDecided

from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import named, plain, utc


class Turn(msgspec.Struct, frozen=True):
    """Something that waits for a person: what, and the ``commands`` that answer it, ready to be pasted."""

    words: str
    commands: list[str]


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
        return Turn(
            f"Version {run.challenger_version} waits for your approval since {utc(run.as_of)}. Leave --reason out to read the evidence first.",
            [f'atalaia approve {model} --reason "..."', f'atalaia refuse {model} --reason "..."'],
        )
    if looks and looks[-1].verdict == "rolled_back":
        look = looks[-1]
        return Turn(
            f"Version {look.version} does worse than version {look.previous_version} and serves on.",
            [f'atalaia model rollback {model} --reason "..."'],
        )
    return None


def review_of(memory: Memory) -> str:
    """How the review of the version that serves stands; empty where there is none."""
    serving = memory.serving
    if serving is None or serving.action != "promoted" or serving.previous_version is None:
        return ""
    whose = f"Version {serving.version}"
    if not memory.looks:
        return f"{whose} is under review against version {serving.previous_version}: too few of its rows are labelled for a look yet."
    look = memory.looks[-1]
    why = named(plain(look.reason), look.previous_version).partition(" (")[0].partition(": ")[2]
    match look.verdict:
        case "kept":
            return f"{whose} was kept on {utc(look.as_of)} ({why})."
        case "rolled_back":  # which is the first line
            return ""
    return (
        f"{whose} is under review: as of {utc(look.as_of)} {why}, which proves neither better nor worse yet."
    )


def under_review(memory: Memory) -> bool:
    """Whether the version that serves was promoted and may still be taken back by itself."""
    serving = memory.serving
    promoted = serving is not None and serving.action == "promoted" and serving.previous_version is not None
    return promoted and (not memory.looks or memory.looks[-1].verdict == "undecided")
