"""One form of log lines in every service, and libraries that do not repeat themselves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

QUIET = ("aiokafka", "faust", "mode")
ONCE_IN_SECONDS = 60.0


class Repeats(logging.Filter):
    """Lets a library's line through once in ``seconds``, and says how often it came meanwhile.

    A client that has lost its broker says so several times a second, for as long as it is away.
    """

    def __init__(self, seconds: float = ONCE_IN_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is logged; by its text before the values are filled in."""
        if record.name.partition(".")[0] not in QUIET:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        at, left_out = self._said.get(key, (-self._seconds, 0))
        if now - at < self._seconds:
            self._said[key] = at, left_out + 1
            return False
        self._said[key] = now, 0
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more of these since the last)"
            record.args = ()
        return True


def set_up(who: str = "") -> None:
    """Log to standard error. ``who`` is put before a logger's name: which of several processes it is."""
    who = f"{who} " if who else ""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s")
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())
