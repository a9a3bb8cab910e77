"""Alerts as people see them: each with all its changes, and the windows it spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.events import AlertChanged, WindowTested
from servicekit.errors import UserError

SHORT = 8  # of an id: enough to tell a few thousand apart


@dataclass(frozen=True)
class Alert:
    """All changes of one alert, oldest first."""

    changes: list[AlertChanged]

    @property
    def id(self) -> str:
        """Its whole id."""
        return self.changes[0].alert_id

    @property
    def model(self) -> str:
        """Whose inputs look different."""
        return self.changes[0].model

    @property
    def version(self) -> str:
        """Of which version."""
        return self.changes[0].version

    @property
    def state(self) -> str:
        """Where it stands."""
        return self.changes[-1].state

    @property
    def open(self) -> bool:
        """Whether it was raised and is not closed."""
        return self.state in ("drift", "recovered")

    @property
    def opening(self) -> AlertChanged:
        """The change that raised it; its first one, where it never was raised."""
        return next((change for change in self.changes if change.state == "drift"), self.changes[0])

    @property
    def mark(self) -> str:
        """In a word: ``open``, ``closed``, or ``warning`` where it is not raised yet."""
        return "open" if self.open else "warning" if self.state == "warning" else "closed"


def alerts_of(changes: Iterable[AlertChanged]) -> list[Alert]:
    """The alerts, newest first; a change that came twice counts once."""
    by_id: dict[str, dict[tuple[int, str], AlertChanged]] = {}
    for change in changes:
        by_id.setdefault(change.alert_id, {}).setdefault((change.window_end, change.state), change)
    found = [Alert(list(of.values())) for of in by_id.values()]
    return sorted(found, key=lambda alert: alert.opening.window_end, reverse=True)


def find(alerts: Sequence[Alert], prefix: str) -> Alert:
    """The alert whose id begins so; raises :class:`UserError` naming what there is."""
    found = [alert for alert in alerts if alert.id.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(alert.id for alert in found[:4])
        raise UserError(f"{prefix} begins the ids of {len(found)} alerts: {named}. Give more of it.")
    if not alerts:
        raise UserError(f"no alert {prefix}: there is none on drift-alerts yet.")
    newest = ", ".join(f"{alert.id[:SHORT]} ({alert.model}, {alert_word(alert)})" for alert in alerts[:4])
    more = f" and {len(alerts) - 4} more" if len(alerts) > 4 else ""
    raise UserError(f"no alert {prefix}; there are {newest}{more}. `atalaia drift explain` lists them.")


def alert_word(alert: Alert) -> str:
    """Its state, as it stands in lists."""
    return f"{alert.mark}: {alert.state}" if alert.open else alert.mark


def reports_of(reports: Iterable[WindowTested], model: str, version: str) -> list[WindowTested]:
    """A version's windows, oldest first; of one reported twice the last report."""
    last = {r.window_end: r for r in reports if (r.model, r.version) == (model, version)}
    return [last[end] for end in sorted(last)]
