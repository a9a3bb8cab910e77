"""Which boundary is decided next.

One after the other, as long as windows with rows are not far behind: the last of them and the 1,000 that follow. A gap
that is longer would make a report for every window in it, a single row of 1970 half a million. So in it only those
boundaries are decided as of which a window with rows, or one of label time, has something new to say: a label, a last
report, the next row.

Which ones these are hangs on nothing but the log, on what a flush asks for, and, where a version's profile was not there
when it was first needed, on when the registry gives it. What is said of rows and labels is the same anyway. A boundary is looked at once it may close, so all that counts as of it
is known, of it and of those before; and what was said is known too, after a restart from the reports. So two workers
that have read differently far, or one that begins anew in the gap, find the same next boundary. (Of what comes to the
log after its boundary was decided nobody can say that: it is told as of the next one, in a gap too.) A truth may be
given a time before its prediction was made; as long as that is not read nobody knows of it.
"""

from __future__ import annotations

from feedback.domain.label_windows import LabelWindows
from feedback.domain.quality_windows import QualityWindows
from feedback.domain.task import Describe


class Boundaries:
    """The boundaries to be decided, in turn.

    A caller takes :meth:`next`, waits until it may close, asks whether it :meth:`is_due`, decides it if so, and begins
    again.
    """

    def __init__(self, quality: QualityWindows, labels: LabelWindows) -> None:
        self._quality, self._labels = quality, labels
        self._asked: set[int] = set()

    def ask(self, boundary: int) -> None:
        """Decide ``boundary``, though there may be nothing new to say."""
        self._asked.add(boundary)

    def next(self, describe: Describe) -> int | None:
        """The first boundary that may have to be decided; None where that is not known before more rows come."""
        quality = self._quality
        if not quality.is_in_gap:
            return quality.next_boundary()
        decided = quality.decided
        self._asked = {boundary for boundary in self._asked if decided is None or boundary > decided}
        found = [quality.first_due(describe), self._labels.first_due(), *self._asked]
        return min((boundary for boundary in found if boundary is not None), default=None)

    def is_due(self, boundary: int, describe: Describe) -> bool:
        """Whether a boundary given by :meth:`next` is decided, now that it may close; if not, it is passed over."""
        if not self._quality.is_in_gap:
            return True
        # Both are asked: what is not new is not due in either.
        new = self._quality.has_news(boundary, describe), self._labels.has_news(boundary, describe)
        return any(new) or boundary in self._asked

    def passed_over(self, boundary: int) -> int:
        """How many boundaries lie between the last decided one and ``boundary``, and are not decided."""
        decided = self._quality.decided
        return 0 if decided is None else (boundary - decided) // self._quality.windows.step - 1
