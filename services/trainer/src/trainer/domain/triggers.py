"""What asks for a training: an alert, a person, or the time that has passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.events import TrainingRequested

from trainer.domain.history import History

Kind = Literal["virtual", "real", "quality", "schedule", "manual"]
ASKED = ("manual", "schedule")  # kinds that nothing about the model asks for


@dataclass(frozen=True)
class Trigger:
    """Something that asks for a training at a boundary; ``since``: from there the world looks different.

    Without ``since`` what counts as new begins where the rows end that made and chose the serving version.
    """

    alert_id: str
    kind: Kind
    since: int | None
    reason: str

    @property
    def words(self) -> str:
        """What a decision's reason says of it, behind the rest."""
        match self.kind:
            case "real":
                return ", real drift"
            case "quality":
                return ", worse answers"
            case "manual":
                return f", asked for: {self.reason}" if self.reason else ", asked for"
            case "schedule":
                return ", by the schedule"
        return ""


class Requests:
    """What people ask for, in order."""

    def __init__(self) -> None:
        self._requests: dict[str, TrainingRequested] = {}

    def requested(self, event: TrainingRequested) -> None:
        """Take in a request; of several with one id the first holds."""
        self._requests.setdefault(event.request_id, event)

    def open(self, history: History) -> list[Trigger]:
        """The requests that have no answer, oldest first."""
        return [
            Trigger(request.request_id, "manual", request.since, request.reason)
            for request in self._requests.values()
            if history.answer(request.request_id) is None
        ]


def scheduled(model: str, every: int, first: int | None, boundary: int, history: History) -> Trigger | None:
    """The schedule's period in which ``boundary`` lies, if nothing has answered it yet.

    Periods are ``every`` milliseconds of event time, from 0 on; 0: there are none. The one in which the ``first`` boundary
    of all lies is passed over: where a period begins hangs on no decision, so a crash loses none. A period that
    waits ends with the next one.

    >>> scheduled("m", 100, 90, 110, History()).alert_id, scheduled("m", 100, 110, 120, History())
    ('m/schedule/1', None)
    """
    if not every or first is None:
        return None
    number = boundary // every
    period = f"{model}/schedule/{number}"
    if first // every >= number or history.answer(period) is not None:
        return None
    return Trigger(period, "schedule", None, "")
