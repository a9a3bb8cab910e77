"""Which version serves the window that ends at a boundary, by model-events."""

from __future__ import annotations

import pytest
from contracts.events import ModelChanged
from feedback.domain.serving import Serving

HISTORY = [("1", None, 0, "installed"), ("2", "1", 60, "promoted"), ("1", "2", 190, "rolled_back")]


@pytest.mark.parametrize(("read", "found"), [(slice(None), "112211"), (slice(-1, None), "222211")])
def test_a_version_that_is_rolled_back_to_serves_twice(read: slice, found: str) -> None:
    """Before the promotion and after the rollback; of compacted changes the last still tells what it replaced."""
    serving = Serving()
    for version, previous, at, action in HISTORY[read]:
        event = ModelChanged(
            model="m", version=version, previous_version=previous, action=action,  # type: ignore[arg-type]
            artifact_uri="", sha256="", effective_from=at, reason="",
        )  # fmt: skip
        serving.changed(event)
        serving.changed(event)  # the topic is read again after a restart
    assert "".join(serving.at(boundary)["m"] for boundary in (30, 60, 61, 190, 191, 999)) == found
