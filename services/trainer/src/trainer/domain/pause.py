"""When no training begins, whatever asks for one: another run is not over, or the pause after a training or a rollback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.events import ModelChanged, TrainingDecided

TRAINED = (
    "promoted",
    "refused",
)  # a failure has judged nothing: how often it is tried again has a limit of its own


@dataclass(frozen=True)
class Hold:
    """What holds trainings back; ``since``: the event time of what it comes of. ``all``: those that a person asks for too."""

    since: int
    reason: str
    all: bool = False


def when(event_time: int) -> str:
    """Milliseconds since 1970 as people read them, in UTC.

    >>> when(1_359_694_800_000)
    '2013-02-01 05:00:00Z'
    """
    return f"{datetime.fromtimestamp(event_time / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def pending(run: TrainingDecided | None) -> Hold | None:
    """One run at a time: the one whose challenger has won and is not over."""
    return None if run is None else Hold(run.as_of, f"the run as of {when(run.as_of)} is not over", all=True)


def pause(
    length: int,
    boundary: int,
    decisions: Iterable[TrainingDecided],
    serving: ModelChanged,
) -> Hold | None:
    """The pause in which ``boundary`` lies: ``length`` milliseconds of event time after the newest of what begins one.

    That is a training that was judged, or what ``model-events`` says last: a promotion (later than its training where it waited)
    or a rollback. That a version was found worse is none: it may serve on. A world needs time to show what came of it.

    >>> now = ModelChanged(model="m", version="1", previous_version="2", action="rolled_back", artifact_uri="", sha256="",
    ...     effective_from=5_000, reason="")
    >>> pause(3_000, 7_999, [], now).reason
    'the pause after the rollback to version 1 ends at 1970-01-01 00:00:08Z'
    >>> pause(3_000, 8_000, [], now)
    """
    begins = [
        (run.as_of, f"the training as of {when(run.as_of)}") for run in decisions if run.decision in TRAINED
    ]
    if serving.action == "rolled_back":
        begins.append((serving.effective_from, f"the rollback to version {serving.version}"))
    if serving.action == "promoted":
        begins.append((serving.effective_from, f"the promotion of version {serving.version}"))
    since, what = max(begins, default=(0, ""), key=lambda begun: begun[0])
    if not length or not what or boundary >= since + length:
        return None
    return Hold(since, f"the pause after {what} ends at {when(since + length)}")
