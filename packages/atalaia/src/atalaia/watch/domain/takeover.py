"""A version that has just come to serve, by promotion or by a rollback: what for, and that it is not judged yet."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.events import ModelChanged

from atalaia.watch.domain.answers import GRAVEST, Headline, what
from atalaia.watch.domain.chain import KINDS, Chain
from atalaia.watch.domain.done import answers_to, done, promoted_of, told_of
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.pending import compared
from atalaia.watch.domain.steps import serves
from atalaia.watch.domain.trail import by_itself
from atalaia.watch.domain.words import changed, sentence, strongest, utc

REVIEW = "review"


def not_judged(memory: Memory, version: str, chains: Sequence[Chain]) -> Headline:
    """The first line while the version that serves has no judged window since it does."""
    change, at = memory.serving, memory.since
    whose = f"version {version} of {memory.model}"
    since = f"{utc(at)}." if at else "The beginning."
    if change is not None and change.action == "rolled_back":
        return _rolled_back(memory, change, whose, f"{utc(at)}, when version {version} came back.", chains)
    promoting = promoting_of(chains, version)
    opened = sorted((a for a in memory.alerts if a.open), key=lambda a: GRAVEST.get(a.opening.kind, 3))
    if opened or promoting:
        first = opened[0] if opened else None
        told = next((a for a in memory.alerts if promoting and a.id == promoting.id), first)
        names = strongest(told.opening.features) if told else []
        why = (
            f"{changed(names)} drifted"
            if names
            else what(told, f"version {told.version}").rstrip(".")
            if told
            else ""
        )
        begin = told.changes[-1].since if told else at
        return Headline(
            "wait", "Replaced, not judged yet",
            sentence(f"{f'{why}; ' if why else ''}{whose} has taken over, and none of its windows has been judged yet"), "",
            f"{utc(begin)}; version {version} took over {utc(at)}." if told else since,
            promoted_of(promoting, version) if promoting else answers_to(opened, chains), began=begin,
        )  # fmt: skip
    now = f"{sentence(whose)[:-1]} serves, and none of its windows has been judged yet."
    return Headline("none", "Not judged yet", now, "", since, "Nothing was done.")


def promoting_of(chains: Sequence[Chain], version: str) -> Chain | None:
    """The chain in which a version was promoted."""
    return next(
        (c for c in chains if any((s.what, s.version) == ("promoted", version) for s in c.steps)), None
    )


def _rolled_back(
    memory: Memory, change: ModelChanged, whose: str, since: str, chains: Sequence[Chain]
) -> Headline:
    alone = by_itself(memory, change)
    gone, how = change.previous_version, "by itself" if alone else "by hand"
    now = f"Version {gone} was rolled back {how}; {whose} serves again, not yet judged."
    undone = promoting_of(chains, change.previous_version or "")
    known = undone is not None and any(step.what == "rolled back" for step in undone.steps)
    told = done(undone) if undone is not None and known else last_rollback(memory)
    more = ""
    if undone is not None and undone.kind in KINDS:
        title = f"{undone.title[:1].lower()}{undone.title[1:]}"
        more = f"The problem that version {gone} was trained for ({title}, since {utc(undone.since)}) may be back."
    return Headline(
        "wait", "Rolled back by itself" if alone else "Rolled back", now, more, since, told, kind=REVIEW if alone else "", began=memory.since,
    )  # fmt: skip


def worse(memory: Memory, chains: Sequence[Chain]) -> Headline:
    """The first line where the last look found the version that serves worse, and it serves on."""
    look = memory.looks[-1]
    promoting = promoting_of(chains, look.version)
    return Headline(
        "alarm", "Worse than the one before",
        f"Version {look.version} of {memory.model} does worse than version {look.previous_version} would: {compared(look)}.", "",
        f"{utc(memory.since)}, when version {look.version} took over; known since {utc(look.as_of)}.",
        done(promoting) if promoting else "Nothing was done yet.", kind=REVIEW, began=memory.since,
    )  # fmt: skip


def last_rollback(memory: Memory) -> str:
    """That the version that serves came back, and why; empty where it did not."""
    change = memory.serving
    if change is None or change.action != "rolled_back":
        return ""
    return told_of(serves(change, by_itself=by_itself(memory, change)))
