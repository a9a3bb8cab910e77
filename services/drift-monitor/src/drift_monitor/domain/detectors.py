"""Detectors of a rise in an error stream, by name; river's, which is a numeric library here and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

BINARY = ("ddm", "eddm", "hddm-a", "hddm-w")  # made for errors that are 0 or 1
Change = Literal["rise", "fall"]
NAMES = ("adwin", "page-hinkley", *BINARY, "none")


class Detector(Protocol):
    """Takes errors one by one, and says when they changed; after a change it begins anew."""

    def update(self, error: float) -> Change | None: ...


class Unsuitable(ValueError):
    """The detector cannot judge this kind of error."""


class _Silent:
    """Looks at nothing."""

    def update(self, error: float) -> None:
        """Nothing."""


class _Rivers:
    """One of river's detectors, whose names and ways of asking differ."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._both_ways = hasattr(detector, "estimation")  # ADWIN; the others only look for a rise

    def update(self, error: float) -> Change | None:
        """What the detector makes of it."""
        before = self._detector.estimation if self._both_ways else 0.0
        self._detector.update(error)
        if not self._detector.drift_detected:
            return None
        return "fall" if self._both_ways and self._detector.estimation < before else "rise"


def make_detectors(name: str, delta: float) -> Callable[[], Detector]:
    """How a detector is made.

    ``delta`` is the confidence of ADWIN (Bifet and Gavaldà 2007), HDDM-A and HDDM-W (Frías-Blanco and others 2015).
    Page-Hinkley (Page 1954), DDM (Gama and others 2004) and EDDM (Baena-García and others 2006) have thresholds of
    their own, which stay the textbook's.

    >>> detector, found = make_detectors("adwin", 0.002)(), []
    >>> for i in range(1200):
    ...     if detector.update(i % 10 < (1 if i < 1000 else 4)) == "rise":
    ...         found.append(i)
    >>> 1000 < found[0] < 1100
    True
    """
    if name not in NAMES:
        raise ValueError(f"{name} is none of {', '.join(NAMES)}")
    if name == "none":
        return _Silent
    import river.drift  # here: it takes seconds, and who wants no detector need not wait

    drift: Any = river.drift  # half of it is not annotated
    binary = drift.binary
    makers: dict[str, Callable[[], Any]] = {
        "adwin": lambda: drift.ADWIN(delta=delta),
        "page-hinkley": lambda: drift.PageHinkley(mode="up"),
        "ddm": binary.DDM,
        "eddm": binary.EDDM,
        "hddm-a": lambda: binary.HDDMA(drift_confidence=delta, warning_confidence=min(5 * delta, 0.99)),
        "hddm-w": lambda: binary.HDDMW(drift_confidence=delta, warning_confidence=min(5 * delta, 0.99)),
    }
    return lambda: _Rivers(makers[name]())
