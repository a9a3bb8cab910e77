"""The state machine of an alert: one per (model, version, kind)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["ok", "warning", "drift", "recovered"]


@dataclass(frozen=True)
class AlertState:
    """Where one version stands after the windows seen so far.

    ``run`` counts drifted windows in a row; at ``alert_windows`` of them an alert opens. ``quiet`` counts quiet
    ones in a row while it is open: with the first it has recovered, and is the same alert still if the world
    drifts again; at ``recovered_windows`` of them the world has come back, and it is closed. It is closed too
    when it is answered, which is when another version serves and starts at ok. What drifts after that is
    another alert. ``since`` is the start of the first drifted window of the run that opened it.

    >>> opened = AlertState().after(drifted=True, start=60, alert_windows=1, recovered_windows=2)
    >>> opened.state, opened.opened, opened.since
    ('drift', True, 60)
    >>> recovered = opened.after(drifted=False, start=120, alert_windows=1, recovered_windows=2)
    >>> recovered.state, recovered.opened, recovered.since
    ('recovered', True, 60)
    >>> recovered.after(drifted=False, start=180, alert_windows=1, recovered_windows=2) == AlertState()
    True
    """

    state: State = "ok"
    run: int = 0
    quiet: int = 0
    since: int | None = None
    opened: bool = False

    def after(
        self, *, drifted: bool | None, start: int, alert_windows: int, recovered_windows: int
    ) -> AlertState:
        """The state after one more window; ``drifted`` is None where its rows were too few to say."""
        if drifted is None:
            return self
        if not drifted:
            if self.opened and self.quiet + 1 < recovered_windows:
                return replace(self, state="recovered", run=0, quiet=self.quiet + 1)
            return AlertState()
        run = self.run + 1
        opened = self.opened or run >= alert_windows
        since = start if self.since is None else self.since
        return AlertState("drift" if opened else "warning", run, 0, since, opened)
