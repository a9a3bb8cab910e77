"""What hangs together: an alert, or whatever else asked for a training, with all that came of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from atalaia.watch.domain.steps import APPROVAL, APPROVED, LABELS, NOT_APPROVED, SHADOW, Step

KINDS = {
    "virtual": "Inputs or outputs look different",
    "real": "The same inputs mean something else",
    "quality": "The model does worse",
}
OTHERS = {"schedule": "A training by the schedule", "manual": "A training that was asked for"}
ANSWERS = ("promoted", "refused", "failed", "accepted", "rolled back")
WINNERS = (SHADOW, APPROVAL, APPROVED, NOT_APPROVED)
MOVES = ("training", "waiting", LABELS, *WINNERS, "promoted", "refused", "failed")
ASIDE = ("under review", "kept", "does worse")  # what is said of a version that serves already


class Chain(msgspec.Struct):
    """An alert or a request with its steps. ``since``: from when the world looks different; ``open``: it is about what serves,
    and nothing has ended it yet; ``came``: what came of it so far, in a few words."""

    id: str
    kind: str
    title: str
    since: int
    version: str | None
    open: bool
    steps: list[Step]
    came: str = ""

    @property
    def at(self) -> int:
        """When it went on last."""
        return max((step.at for step in self.steps), default=self.since)

    @property
    def answers(self) -> list[Step]:
        """What was done about it, oldest first."""
        return [step for step in self.steps if step.what in ANSWERS]

    @property
    def move(self) -> Step | None:
        """What the trainer did last."""
        return next((step for step in reversed(self.steps) if step.what in MOVES), None)

    @property
    def waits(self) -> bool:
        """Whether a winner of it is not over yet."""
        return self.move is not None and self.move.what in WINNERS


def last_move(chains: Iterable[Chain]) -> Step | None:
    """What the trainer did last about whatever is open; None where that was a promotion, or nothing is."""
    own = [chain for chain in chains if chain.waits or chain.open]
    moves = [chain.move for chain in own if chain.move is not None]
    last = max(moves, key=lambda step: step.at, default=None)
    return None if last is None or last.what == "promoted" else last


def came(chain: Chain) -> str:
    """What came of it so far, in a few words."""
    if not chain.answers:
        last = chain.steps[-1]
        if last.what == "closed":
            return f"closed: {last.words[:1].lower()}{last.words[1:].rstrip('.')}"
        return "nothing was done so far" if last.what in ("alert", "asked for") else _named(last)
    newest = next(step for step in reversed(chain.steps) if step.what not in ASIDE)
    last = newest if newest.what in ("training", *WINNERS) else chain.answers[-1]
    review = [step.what for step in chain.steps if step.what in ASIDE and step.version == last.version]
    return f"{_named(last)}, {review[-1]}" if review and last.what == "promoted" else _named(last)


def _named(step: Step) -> str:
    return f"version {step.version} {step.what}" if step.version else step.what
