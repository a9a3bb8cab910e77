"""Which model is shown where the topics name several."""

from __future__ import annotations

import msgspec

from atalaia.watch.domain.headline import headline
from atalaia.watch.domain.memory import Memories, Memory
from atalaia.watch.domain.trail import trail

URGENT = {"alarm": 0, "wait": 1, "good": 2, "none": 3}


class Choice(msgspec.Struct, frozen=True):
    """A model, and how it does."""

    model: str
    tone: str
    state: str


def choices(memories: Memories, clock: int = 0) -> list[Choice]:
    """All models, those in trouble first; ``clock`` as for :func:`headline`."""
    found = []
    for memory in memories.models.values():
        head = headline(memory, trail(memory), clock)
        found.append(Choice(memory.model, head.tone, head.short))
    return sorted(found, key=lambda c: (URGENT[c.tone], c.model))


def chosen(memories: Memories, asked: str, clock: int = 0) -> Memory | None:
    """The model that was asked for, or the one most in trouble where none was; None where there is none."""
    if asked:
        return memories.models.get(asked)
    found = choices(memories, clock)
    return memories.models[found[0].model] if found else None
