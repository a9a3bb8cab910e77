"""What was done when, for the charts to mark."""

from __future__ import annotations

import msgspec

from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import utc


class Mark(msgspec.Struct, frozen=True):
    """Something that charts mark at an event time."""

    at: int
    what: str
    words: str


def marks_of(memory: Memory, began: int | None = None) -> list[Mark]:
    """Since when what is said first is so (``began``), alerts, refusals, promotions and rollbacks, in order of event time."""
    found = [Mark(began, "since", f"since {utc(began)}")] if began else []
    found += [
        Mark(a.opening.window_end, "alert", f"{a.opening.kind} alert")
        for a in memory.alerts
        if a.opening.state == "drift"
    ]
    for change in memory.changes.values():
        if change.effective_from and change.action != "installed":
            words = f"version {change.version} promoted"
            if change.action == "rolled_back":
                words = (
                    f"version {change.previous_version} rolled back, version {change.version} serves again"
                )
            found.append(Mark(change.effective_from, change.action, words))
    told = {(c.version, c.effective_from) for c in memory.changes.values()}
    for d in memory.decisions.values():
        if d.decision == "refused":
            found.append(Mark(d.as_of, "refused", f"version {d.challenger_version or 'untold'} refused"))
        elif d.decision == "promoted" and not any(v == d.challenger_version for v, _ in told):
            found.append(Mark(d.as_of, "promoted", f"version {d.challenger_version} promoted"))
    return sorted(found, key=lambda mark: mark.at)
