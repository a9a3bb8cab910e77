"""What HTTP asks of this worker, or of the one that knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from contracts.codec import partition_of

from feedback.consumes.http import Elsewhere, Unready
from feedback.deciding import OWNER, Deciding
from feedback.domain.progress import Progress
from feedback.domain.store import StoreLost
from feedback.domain.windows import Windows
from feedback.joining import Joining
from feedback.records import FUTURE_MS

MAX_EMPTY_WINDOWS = 10_000
NAMES = (
    "predicted",
    "joined",
    "pending",
    "unknown",
    "expired",
    "duplicates",
    "corrections",
    "labelled_distinct",
    "held",
    "expired_labelled",
    "too_late",
    "repeated_batches",
    "uncounted",
)


class WorkerAnswers:
    """Answers from this worker's state; names the worker that has what this one has not."""

    def __init__(
        self,
        joining: Joining,
        deciding: Deciding,
        progress: Progress,
        windows: Windows,
        partitions: int,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._joining, self._deciding, self._progress = joining, deciding, progress
        self._windows, self._partitions, self._now = windows, partitions, now

    async def state(self, prediction_id: str) -> dict[str, Any]:
        """What is known of one id."""
        partition = partition_of(prediction_id[:32], self._partitions)
        self._here(partition)
        try:
            return self._joining.held[partition].join.state(prediction_id)
        except StoreLost:
            raise Unready(f"the state of partition {partition} cannot be read, and is built anew") from None

    async def status(self) -> dict[str, Any]:
        """The counts of the join over all workers, and how far reports are decided."""
        if not self._joining.ready:
            raise Unready("the partitions of this worker are being taken over")
        counts = dict.fromkeys(NAMES, 0) | self._progress.counts()
        return {
            "decided_through": self._progress.decided,
            **counts,
            "pending": counts["predicted"] - counts["joined"] - counts["expired"],
            **self._deciding.status(),
            "worker": self._joining.worker,
            "partitions": sorted(self._joining.held),
            "decides": self._deciding.state is not None,
        }

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """Decide the windows that a finished replay left open.

        Up to five minutes ahead of the clock at the most, as rows may be: labels before ``until`` are too late for its
        windows from then on, for good.
        """
        newest = self._progress.newest()
        latest = self._now() + FUTURE_MS
        if until is not None and until > latest:
            raise ValueError(
                "until lies more than five minutes in the future: what is still to come would be late"
            )
        if until is None and newest is not None and self._windows.boundary_after(newest) > latest:
            raise ValueError(
                "until is left out, and the newest row's window ends more than five minutes in the future"
            )
        ahead = MAX_EMPTY_WINDOWS * self._windows.step
        if until is not None and newest is not None and until > newest + ahead:
            raise ValueError(f"until lies more than {MAX_EMPTY_WINDOWS} windows after the newest row")
        self._here(OWNER)
        try:
            return await self._deciding.flush(until, seconds)
        except TimeoutError:
            raise Unready("this worker has only just begun to decide") from None

    def _here(self, partition: int) -> None:
        """Raise where a partition is not this worker's."""
        joining = self._joining
        if joining.owns(partition):
            return
        claim = self._progress.claims.get(partition)
        if claim is not None and claim.worker != joining.worker and partition not in joining.assigned:
            raise Elsewhere(claim.address)
        raise Unready(f"partition {partition} is being taken over")
