"""Which version of a model serves at an event time."""

from __future__ import annotations

from contracts.events import ModelChanged


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

    def serving(self, end: int) -> str | None:
        """Who serves the window that ends at ``end``, by what is known now: the last to take over before.

        A promotion is effective from the boundary that its decision was as of, which may lie before windows
        that are decided already; those stay with the version that served them, as their reports say.
        """
        before = [change for change in self._changes if change.effective_from < end]
        if before:
            return before[-1].version
        if self._changes:  # older changes are compacted away
            return self._changes[0].previous_version or self._changes[0].version
        seen = [version for version, first in self._first_seen.items() if first < end]
        return max(seen, key=version_order, default=None)

    def took_over(self, version: str, end: int) -> int | None:
        """Since when a version serves that serves the window that ends at ``end``; None where not known."""
        taken = [c.effective_from for c in self._changes if c.version == version and c.effective_from < end]
        return taken[-1] if taken else None

    def latest(self) -> str | None:
        """Who serves now."""
        return self.serving(2**62)
