"""The state machine of an alert: one per (model, version, kind)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["ok", "warning", "drift", "recovered"]


@dataclass(frozen=True)
class AlertState:
    """Where one version stands after the windows seen so far.

    ``run`` counts drifted windows in a row; at ``alert_windows`` of them the alert opens. Quiet windows lead
    from drift to recovered, and to ok; but an alert that was opened stays ``opened`` until it is answered,
    which is when another version serves and starts at ok. ``since`` is the start of the first drifted window
    of the run that opened it, and does not move while it is open.

    >>> quiet = AlertState()
    >>> opened = quiet.after(drifted=True, start=60, alert_windows=1)
    >>> opened.state, opened.opened, opened.since
    ('drift', True, 60)
    >>> opened.after(drifted=False, start=120, alert_windows=1).state
    'recovered'
    """

    state: State = "ok"
    run: int = 0
    since: int | None = None
    opened: bool = False

    def after(self, *, drifted: bool | None, start: int, alert_windows: int) -> AlertState:
        """The state after one more window; ``drifted`` is None where its rows were too few to say."""
        if drifted is None:
            return self
        if not drifted:
            state: State = "recovered" if self.state == "drift" else "ok"
            return replace(self, state=state, run=0, since=self.since if self.opened else None)
        run = self.run + 1
        since = start if self.since is None else self.since
        if self.opened or run >= alert_windows:
            return AlertState("drift", run, since, opened=True)
        return AlertState("warning", run, since)
