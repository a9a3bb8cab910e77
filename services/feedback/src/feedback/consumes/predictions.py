"""Topic ``predictions``: chunks go to the joiner, and are acknowledged once what follows is in Kafka."""

from __future__ import annotations

from typing import Any

from feedback.faust_reader import Fail, Take, follow


def make_agent(app: Any, take: Take, fail: Fail) -> Any:
    """The Faust agent that reads ``predictions``."""
    return follow(app, "predictions", take, fail)
