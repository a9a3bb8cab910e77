"""What was said last of each window, by whoever decided then."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable
from typing import Generic, TypeVar

from contracts.events import LabelsReported, QualityReported

from feedback.domain.due import Key

_NEVER = -(2**63)
R = TypeVar("R", QualityReported, LabelsReported)


class LastReports(Generic[R]):
    """The last report of each window and version, as long as it may have a successor.

    Panes are kept for two horizons after the last window that holds them, reports for one more.
    """

    def __init__(self, size: int, horizon: int) -> None:
        self._size, self._horizon = size, horizon
        self._reports: dict[Key, R] = {}

    def restore(self, reports: Iterable[R], decided: int | None) -> None:
        """Take what is on the topic; of a window's reports the newest holds, not that of one who had lost its turn."""
        for report in reports:
            key = Key(report.window_start, report.model, report.version)
            last = self._reports.get(key)
            if last is not None and (report.as_of, report.revision) < (last.as_of, last.revision):
                continue
            if decided is None or report.window_end + 3 * self._horizon > decided:
                self._reports[key] = report

    def get(self, key: Key) -> R | None:
        """The last report of a window."""
        return self._reports.get(key)

    def items(self) -> ItemsView[Key, R]:
        """The windows and their last reports."""
        return self._reports.items()

    def put(self, key: Key, report: R) -> None:
        """A window is reported."""
        self._reports[key] = report

    def over(self, decided: int | None) -> int:
        """Before this moment no report asks for a pane any more, and no window that begins before it is reported."""
        return _NEVER if decided is None else decided - 2 * self._horizon - self._size

    def forget(self, decided: int) -> None:
        """Let go what has no successor."""
        before = self.over(decided) - self._horizon
        self._reports = {key: report for key, report in self._reports.items() if key.start >= before}


def alike(last: R, report: R, but: Collection[str] = ()) -> bool:
    """Whether two reports say the same, but for when they were made and what stands in ``but``."""
    skip = {"as_of", "revision", *but}
    return all(getattr(last, f) == getattr(report, f) for f in report.__struct_fields__ if f not in skip)
