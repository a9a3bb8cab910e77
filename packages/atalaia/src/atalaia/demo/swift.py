"""How long it took from an alert that can be acted on to the new version's first answer, and whose time that was.

An alert waits for labels, which come when they come. So the clock starts where the monitor's report of the training's
boundary is written: as of it the alert was open and had rows enough. It stops when a client has the new
version's first answer. *Training* is what the project's stages take (``dvc repro``); all else is the platform's own: the snapshot,
the registration and pushing, the challenge, the promotion, and everything between services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from atalaia.demo.story import Story


@dataclass(frozen=True)
class Swift:
    """Seconds: ``whole``, ``training``, the ``steps`` that the trainer has timed, and since the alert was ``raised``."""

    whole: float
    training: float
    steps: Mapping[str, float]
    raised: float | None

    @property
    def own(self) -> float:
        """The platform's own."""
        return self.whole - self.training

    @property
    def words(self) -> str:
        """For people."""
        steps = ", ".join(f"{name} {s:.1f}" for name, s in self.steps.items() if name != "train")
        since = (
            f"; {self.raised:.1f} s since the alert was raised, in which its labels came"
            if self.raised
            else ""
        )
        return (
            f"{self.whole:.1f} s, {self.training:.1f} of them training, {self.own:.1f} the platform's own ({steps}, and "
            f"what is between services){since}"
        )


def swiftness(story: Story, answered: Mapping[str, int]) -> Swift | None:
    """Of the first promotion; None where there is none, or its times are not known. ``answered``: version to ms."""
    promoted = next(iter(story.promotions), None)
    end = None if promoted is None else answered.get(promoted.challenger_version or "")
    if promoted is None or end is None or "train" not in promoted.seconds:
        return None
    reported = [
        at
        for report, at in zip(story.drift, story.written.get("drift-reports", []), strict=True)
        if report.window_end == promoted.as_of and report.version == promoted.champion_version
    ]
    if not reported:
        return None
    raised = [
        at
        for alert, at in zip(story.alerts, story.written.get("drift-alerts", []), strict=True)
        if alert.alert_id == promoted.alert_id and alert.state == "drift"
    ]
    return Swift(
        (end - reported[0]) / 1000,
        promoted.seconds["train"],
        promoted.seconds,
        (end - raised[0]) / 1000 if raised else None,
    )
