"""Which version serves the window that ends at a boundary; the drift-monitor goes by the same rule."""

from __future__ import annotations

from contracts.events import ModelChanged


def version_order(version: str) -> tuple[int, str]:
    """Sort key of versions: numbers as numbers."""
    return (int(version), "") if version.isascii() and version.isdigit() else (-1, version)


class Serving:
    """What ``model-events`` says. A promotion holds from the boundary that its decision was as of."""

    def __init__(self) -> None:
        self._changes: dict[str, list[ModelChanged]] = {}

    def changed(self, event: ModelChanged) -> None:
        """Take up a change; of two that hold from one moment on, the later one does."""
        changes = self._changes.setdefault(event.model, [])
        changes.append(event)
        changes.sort(key=lambda change: change.effective_from)

    def at(self, boundary: int) -> dict[str, str]:
        """The version of each model, by what is known now."""
        found = {}
        for model, changes in self._changes.items():
            before = [change.version for change in changes if change.effective_from < boundary]
            # Older changes are compacted away.
            found[model] = before[-1] if before else changes[0].previous_version or changes[0].version
        return found
