"""Which version of a model serves at an event time."""

from __future__ import annotations

from typing import NamedTuple

from contracts.events import ModelChanged


class Era(NamedTuple):
    """A version's time of service; ``since`` is None where its beginning is not known."""

    version: str
    since: int | None


def version_order(version: str) -> tuple[int, str]:
    """Sort key of versions: numbers as numbers."""
    return (int(version), "") if version.isascii() and version.isdigit() else (-1, version)


class Versions:
    """The history of one model's serving versions.

    ``model-events`` is the truth. Where it says nothing about a model (one served elsewhere), the highest
    version whose rows have been seen serves.
    """

    def __init__(self) -> None:
        self._changes: list[ModelChanged] = []
        self._first_seen: dict[str, int] = {}

    def changed(self, event: ModelChanged) -> None:
        """Take up a change; the same one twice counts once."""
        if not any(
            (c.version, c.effective_from) == (event.version, event.effective_from) for c in self._changes
        ):
            self._changes.append(event)
            # The sort is stable: of two changes at one moment the later published one holds.
            self._changes.sort(key=lambda change: change.effective_from)

    def seen(self, version: str, event_time: int) -> None:
        """Rows of a version at an event time exist."""
        self._first_seen[version] = min(self._first_seen.get(version, event_time), event_time)

    def era(self, end: int) -> Era | None:
        """Who serves the window that ends at ``end``: the last to take over before its end."""
        before = [change for change in self._changes if change.effective_from < end]
        if before:
            return Era(before[-1].version, before[-1].effective_from)
        if self._changes:  # older changes are compacted away
            first = self._changes[0]
            return Era(first.previous_version or first.version, None)
        seen = [version for version, first in self._first_seen.items() if first < end]
        return Era(max(seen, key=version_order), None) if seen else None

    def latest(self) -> Era | None:
        """Who serves now."""
        return self.era(2**62)
