"""What the services' OpenAPI documents have in common: answers, problems (RFC 9457) and health."""

from __future__ import annotations

from typing import Any

HEALTH: dict[str, Any] = {
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
METRICS: dict[str, Any] = {
    "description": "all of them",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
Header = tuple[str, str, dict[str, Any], bool]  # name, meaning, schema, whether it always comes


def answered(description: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """A response in JSON."""
    media: dict[str, Any] = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": description, "content": {"application/json": media}}


def refused(
    code: str, title: str, text: str, schema: str, header: Header | None, **members: Any
) -> dict[str, Any]:
    """A problem's response; ``members`` are the example's beside those of every problem."""
    example = {"type": "about:blank", "title": title, "status": int(code), "detail": text, **members}
    media = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    found: dict[str, Any] = {"description": text, "content": {"application/problem+json": media}}
    if header is not None:
        name, meaning, kind, always = header
        found["headers"] = {name: {"description": meaning, "required": always, "schema": kind}}
    return found
