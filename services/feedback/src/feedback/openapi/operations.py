"""The routes that say how the service is."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import HEALTH, METRICS, answered

from feedback.openapi.problems import problems

SCHEMAS: dict[str, Any] = {"Health": HEALTH}


def _get(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    others = problems("405")
    return {"get": {"operationId": name, "tags": ["Operations"], "summary": summary, "responses": responses | others}}  # fmt: skip


def _health(description: str) -> dict[str, Any]:
    return answered(description, {"$ref": "#/components/schemas/Health"})


PATHS: dict[str, Any] = {
    "/health/live": _get("live", "Whether the process answers", {"200": _health("it does")}),
    "/health/ready": _get(
        "ready", "Whether it may be asked",
        {
            "200": _health("each dependency is there"),
            "503": _health("one is not, or the service is about to end"),
        },
    ),
    "/metrics": _get("metrics", "Prometheus metrics", {"200": METRICS}),
}  # fmt: skip
