"""The parts of a discrete-event simulation: a calendar, a core that does one thing at a time, a wire with one request on it.

Textbook event scheduling (Law, Simulation Modeling and Analysis, chapter 1). Times are seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

Then = Callable[[], None]


class Calendar:
    """What happens when. Of two things at one time that comes first which was put down first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Then]] = []
        self._put = 0

    def at(self, time: float, then: Then) -> None:
        """Have ``then`` called at a time that is not past."""
        self._put += 1
        heapq.heappush(self._due, (time, self._put, then))

    def run(self, until: float = float("inf")) -> None:
        """Let things happen until none is left, or the next one lies behind ``until``."""
        while self._due and self._due[0][0] <= until:
            self.now, _, then = heapq.heappop(self._due)
            then()


class Core:
    """Does what it is given one after the other, to the end, as the loop of an asyncio process does."""

    def __init__(self, calendar: Calendar) -> None:
        self.busy = 0.0
        self._calendar = calendar
        self._queue: deque[tuple[float, Then]] = deque()
        self._works = False

    def do(self, seconds: float, then: Then) -> None:
        """Queue work; ``then`` is called when it is done."""
        self._queue.append((seconds, then))
        self._next()

    def do_next(self, seconds: float, then: Then) -> None:
        """Work before all that waits: what a callback goes on with."""
        self._queue.appendleft((seconds, then))
        self._next()

    def _next(self) -> None:
        if self._works or not self._queue:
            return
        seconds, then = self._queue.popleft()
        self._works, self.busy = True, self.busy + seconds
        self._calendar.at(self._calendar.now + seconds, lambda: self._done(then))

    def _done(self, then: Then) -> None:
        then()
        self._works = False
        self._next()


class Wire:
    """One request to a broker at a time, as aiokafka has it: what comes meanwhile goes together with the next."""

    def __init__(self, calendar: Calendar, takes: Callable[[int, Then], None]) -> None:
        self._calendar, self._takes = calendar, takes
        self._waiting: list[Then] = []
        self._under_way = False

    def send(self, then: Then) -> None:
        """``then`` is called when the broker has acknowledged it."""
        self._waiting.append(then)
        self._next()

    def _next(self) -> None:
        if self._under_way or not self._waiting:
            return
        batch, self._waiting, self._under_way = self._waiting, [], True

        def acknowledged() -> None:
            self._under_way = False
            for then in batch:
                then()
            self._next()

        self._takes(len(batch), acknowledged)
