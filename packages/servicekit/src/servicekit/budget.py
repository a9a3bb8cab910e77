"""The false-alarm budget in plain words, as a share of windows."""

from __future__ import annotations

import re

DAY = 86_400_000
UNITS = {
    "hour": 3_600_000,
    "day": DAY,
    "week": 7 * DAY,
    "month": 30 * DAY,
    "quarter": 91 * DAY,
    "year": 365 * DAY,
}
MOST = 0.05
_WORDS = re.compile(rf"(\d+(?:\.\d+)?) (?:per|a|an|in) (?:(\d+) )?(window|{'|'.join(UNITS)})s?")


def alpha_of(budget: str, step_ms: int) -> float:
    """The share of quiet windows, one every ``step_ms``, that may alarm.

    Raises ``ValueError`` for what is not understood, and for more than one quiet window in twenty.

    >>> alpha_of("1 per 1000 windows", 3_600_000), round(alpha_of("1 a month", 3_600_000), 6)
    (0.001, 0.001389)
    """
    found = _WORDS.fullmatch(" ".join(budget.split()))
    if found is None:
        raise ValueError(
            f"{budget!r} is not a budget: say '1 per 1000 windows', '1 a month' or '2 per 3 months'"
        )
    alarms, spans, unit = float(found[1]), int(found[2] or 1), found[3]
    if not spans or not alarms:
        raise ValueError(f"{budget!r}: both numbers are above zero")
    alpha = alarms / spans if unit == "window" else alarms * step_ms / (spans * UNITS[unit])
    if alpha > MOST:
        raise ValueError(
            f"{budget!r} with a window every {step_ms / 3_600_000:g} h lets {alpha:.0%} of quiet windows alarm, more "
            f"than {MOST:.0%}: allow fewer, or make windows that follow each other faster"
        )
    return alpha
