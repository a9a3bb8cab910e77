"""Which version serves at an event time, where one serves twice."""

from __future__ import annotations

from contracts.events import ModelChanged
from drift_monitor.domain.versions import Versions


def change(version: str, previous: str | None, effective_from: int) -> ModelChanged:
    """A change of the version that serves."""
    return ModelChanged(
        model="m", version=version, previous_version=previous, action="promoted", artifact_uri="", sha256="",
        effective_from=effective_from, reason="",
    )  # fmt: skip


def test_a_version_that_serves_twice_serves_each_time_from_then_on() -> None:
    """Promoted, rolled back, and promoted again, each said twice: a window goes by the change before its end."""
    versions = Versions()
    for each in (change("1", None, 0), change("2", "1", 100), change("1", "2", 200), change("2", "1", 300)):
        versions.changed(each)
        versions.changed(each)
    ends = (100, 101, 200, 201, 300, 301)
    assert [versions.serving(end) for end in ends] == ["1", "2", "2", "1", "1", "2"]
    assert [versions.took_over("1", end) for end in (100, 201, 400)] == [0, 200, 200]
    assert [versions.took_over("2", end) for end in (100, 101, 400)] == [None, 100, 300]
    assert versions.latest() == "2"
