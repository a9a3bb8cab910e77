"""What every refusal looks like: RFC 9457 problem details, and the headers that come with some."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
PROBLEM: dict[str, Any] = {
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what is wrong, for people"},
        "errors": {
            "description": "each field that is wrong, the first 20",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": _TEXT,
                    "message": _TEXT,
                    "row": {"type": "integer", "minimum": 0, "description": "of a batch, from 0"},
                },
            },
        },
    },
}
PROTOCOL_PROBLEM: dict[str, Any] = {
    "description": "RFC 9457 problem details with the Open Inference Protocol's own member.",
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is wrong, as its clients read it"}},
}
_HEADERS = {
    "405": ("Allow", "the methods that the path has", _TEXT),
    "415": ("Accept-Encoding", "the encodings that are understood", _TEXT),
    "503": ("Retry-After", "seconds", {"type": "integer", "minimum": 1}),
}
_SAID = {
    "404": "another model or version than the one that serves; it says which does",
    "405": "another method than this path has",
    "413": "the body, or one row of it, is too large: nothing was scored",
    "415": "a Content-Encoding that is not understood",
    "422": "a field is missing, unknown, mistyped or out of range: nothing was scored",
    "500": "the model failed on these rows: no prediction was promised",
    "503": "no model yet, or the prediction could not be recorded: nothing was promised",
}
_TITLES = {
    "404": "Not served", "405": "Method Not Allowed", "413": "Too large", "415": "Unsupported encoding",
    "422": "Invalid input", "500": "Not scored", "503": "No model",
}  # fmt: skip


def problems(*codes: str, schema: str = "Problem", **said: str) -> dict[str, Any]:
    """The responses of ``codes``; ``said`` (``_503="…"``) describes one otherwise."""
    found: dict[str, Any] = {}
    for code in codes:
        text = said.get(f"_{code}", _SAID[code])
        example = {"type": "about:blank", "title": _TITLES[code], "status": int(code), "detail": text}
        if schema == "ProtocolProblem":
            example["error"] = text
        media = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
        found[code] = {"description": text, "content": {"application/problem+json": media}}
        if code in _HEADERS:
            name, meaning, kind = _HEADERS[code]
            found[code]["headers"] = {name: {"description": meaning, "required": True, "schema": kind}}
    return found


def answered(description: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """A response in JSON."""
    media: dict[str, Any] = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": description, "content": {"application/json": media}}
