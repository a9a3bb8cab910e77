"""The routes that say how the service is: the version that serves, health and metrics."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import HEALTH, METRICS, answered

from predictor.openapi.problems import problems

_SERVING: dict[str, Any] = {
    "type": "object",
    "required": ["model", "version"],
    "additionalProperties": False,
    "properties": {"model": {"type": "string"}, "version": {"type": "string"}},
}
SCHEMAS = {"Status": HEALTH, "Serving": _SERVING}


def get(
    name: str, tag: str, summary: str, responses: dict[str, Any], *, schema: str = "Problem"
) -> dict[str, Any]:
    """A GET operation."""
    others = problems("405", schema=schema)
    return {"get": {"operationId": name, "tags": [tag], "summary": summary, "responses": responses | others}}


def _status(description: str) -> dict[str, Any]:
    return answered(description, {"$ref": "#/components/schemas/Status"})


PATHS: dict[str, Any] = {
    "/api/v1.0/model": get(
        "serving", "Operations", "The version that serves",
        {
            "200": answered("it serves", {"$ref": "#/components/schemas/Serving"}),
            **problems("503", _503="no model is loaded yet"),
        },
    ),
    "/health/live": get("live", "Operations", "Whether the process answers", {"200": _status("it does")}),
    "/health/ready": get(
        "ready", "Operations", "Whether it may be asked",
        {
            "200": _status("each dependency is there"),
            "503": _status("one is not, or the service is about to end"),
        },
    ),
    "/metrics": get(
        "metrics", "Operations", "Prometheus metrics",
        {"200": METRICS},
    ),
}  # fmt: skip
