"""What every refusal looks like: RFC 9457 problem details, and the headers that come with some."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import Header, refused

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
_HEADERS: dict[str, Header] = {
    "405": ("Allow", "the methods that the path has", _TEXT, True),
    "415": ("Accept-Encoding", "the encodings that are understood", _TEXT, True),
    "503": ("Retry-After", "seconds", {"type": "integer", "minimum": 1}, True),
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
        own = {"error": text} if schema == "ProtocolProblem" else {}
        found[code] = refused(code, _TITLES[code], text, schema, _HEADERS.get(code), **own)
    return found
