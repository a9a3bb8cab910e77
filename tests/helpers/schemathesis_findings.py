"""schemathesis, which holds an application against its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import schemathesis
from schemathesis.engine import events, from_schema

ALL: dict[str, Any] = {
    "seed": 1,
    "cache": {"enabled": False},  # the same requests each time, and nothing left behind
    "phases": {"stateful": {"enabled": False}},
}


def findings(
    app: Any, settings: dict[str, Any], fit: Callable[[Any], Any], examples: int = 25
) -> tuple[list[str], int]:
    """What schemathesis has against an application and its document, and how many requests it made.

    ``settings`` are the service's own beside those of all; ``fit`` makes of a body what no schema can say.
    """
    generation = {"max-examples": examples, "deterministic": True}
    config = schemathesis.Config.from_dict(ALL | settings | {"generation": generation})
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)

    @schema.hook
    def map_case(context: Any, case: Any) -> Any:
        case.body = fit(case.body)
        return case

    found: list[str] = []
    requests = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            found.append(f"{event.label}: {event.info}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.cases)
            for case_id, checks in event.recorder.checks.items():
                for check in checks:
                    if check.failure_info is not None:
                        case = event.recorder.cases[case_id].value
                        said = check.failure_info.failure
                        found.append(
                            f"{case.operation.label}: {said.title}: {said.message}\n{case.as_curl_command()}"
                        )
    return found, requests
