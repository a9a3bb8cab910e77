"""Which models have rows, and which version the newest of them are of."""

from __future__ import annotations

from feedback.domain.serving import version_order
from feedback.domain.windows import Windows

Newest = tuple[int, tuple[int, str], str]  # start of the last window that holds a row, and its version


class Seen:
    """Models and versions of rows, as of any boundary that is not decided yet.

    Rows are told apart by the last window that holds them, which their reports know too: so it makes no difference
    whether panes or, after a restart, reports are taken. Nor how far was read already: what is at or behind a boundary
    says nothing as of it.

    >>> seen = Seen(Windows(size=60, step=60))
    >>> seen.row("m", "1", 0), seen.row("m", "2", 60), seen.row("n", "1", 120)
    (None, None, None)
    >>> seen.before(60), seen.before(120)
    ({'m': '1'}, {'m': '2'})
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._models: dict[str, dict[Newest, int]] = {}  # the earliest pane

    def row(self, model: str, version: str, time: int) -> None:
        """There is a row of a version in the pane that begins at ``time``."""
        known = self._models.setdefault(model, {})
        at = (self._windows.starts(time)[-1], version_order(version), version)
        known[at] = min(time, known.get(at, time))

    def before(self, boundary: int) -> dict[str, str]:
        """The models with rows before a boundary, by name, and the version of the newest; of several the highest."""
        found = {}
        for model in sorted(self._models):
            newest = max((at for at, time in self._models[model].items() if time < boundary), default=None)
            if newest is not None:
                found[model] = newest[2]
        return found

    def forget(self, decided: int) -> None:
        """Let go what says nothing as of the boundaries after ``decided``."""
        for model, known in self._models.items():
            over = sorted(at for at, time in known.items() if time < decided)
            for at in over[:-1]:
                del self._models[model][at]
