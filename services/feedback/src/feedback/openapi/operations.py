"""The routes that say how the service is."""

from __future__ import annotations

from typing import Any

from feedback.openapi.problems import answered, problems

SCHEMAS: dict[str, Any] = {
    "Health": {
        "type": "object",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {
            "status": {"type": "string", "enum": ["live", "ready", "not ready", "draining"]},
            "checks": {
                "type": "object",
                "description": "each dependency by name, and whether it is there",
                "additionalProperties": {"type": "boolean"},
            },
        },
    }
}


def _get(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    others = problems("405")
    return {"get": {"operationId": name, "tags": ["Operations"], "summary": summary, "responses": responses | others}}  # fmt: skip


def _health(description: str) -> dict[str, Any]:
    return answered(description, {"$ref": "#/components/schemas/Health"})


_METRICS = {"description": "all of them", "content": {"text/plain": {"schema": {"type": "string"}}}}
PATHS: dict[str, Any] = {
    "/health/live": _get("live", "Whether the process answers", {"200": _health("it does")}),
    "/health/ready": _get(
        "ready", "Whether it may be asked",
        {
            "200": _health("each dependency is there"),
            "503": _health("one is not, or the service is about to end"),
        },
    ),
    "/metrics": _get("metrics", "Prometheus metrics", {"200": _METRICS}),
}  # fmt: skip
