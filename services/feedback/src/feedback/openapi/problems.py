"""What every refusal looks like: RFC 9457 problem details, and the headers that come with some."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import Header, refused

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_MEMBERS: dict[str, Any] = {
    "type": _TEXT,
    "title": _TEXT,
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": {"type": "string", "description": "what is wrong, for people"},
    "field": {"type": "string", "description": "which field is wrong"},
    "row": _COUNT | {"description": "of several labels which one, from 0"},
}
PROBLEM: dict[str, Any] = {
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": _MEMBERS,
}
COUNTS: dict[str, Any] = {
    "accepted": _COUNT | {"description": "labels that Kafka has"},
    "rejected": _COUNT | {"description": "lines that are no labels"},
    "lines": _COUNT | {"description": "lines that are dealt with, the header and blank ones too"},
    "bytes": _COUNT | {"description": "bytes of those lines, inflated"},
}
UPLOAD_PROBLEM: dict[str, Any] = {
    "description": "RFC 9457 problem details. Of NDJSON and CSV it says what is accepted all the same.",
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "type": "object",
    "properties": COUNTS
    | {
        "upload_id": _TEXT,
        "rejections": {
            "description": "the first 100 of them",
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["line", "detail"],
                "properties": {
                    "line": {"type": "integer", "minimum": 1, "description": "as editors count"},
                    "field": _TEXT,
                    "detail": _TEXT,
                },
            },
        },
    },
}
_HEADERS: dict[str, Header] = {
    "405": ("Allow", "the methods that the path has", {"type": "string"}, True),
    "415": (
        "Accept",
        "the types that are taken; or Accept-Encoding, the encodings",
        {"type": "string"},
        False,
    ),
    "503": ("Retry-After", "seconds", {"type": "integer", "minimum": 1}, True),
}
_SAID = {
    "403": ("Forbidden", "asked for by a web page of another site"),
    "405": ("Method Not Allowed", "another method than this path has"),
    "413": ("Too large", "a JSON body that is too large: nothing is accepted"),
    "415": ("Unsupported media type", "a Content-Type or Content-Encoding that is not taken; it says which are"),
    "422": ("Refused", "a field is missing, unknown, mistyped or out of range: nothing is accepted"),
    "500": ("Internal error", "a fault of the service"),
    "503": ("Not ready", "nobody who could answer can be reached now"),
}  # fmt: skip


def problems(*codes: str, schema: str = "Problem", **said: str) -> dict[str, Any]:
    """The responses of ``codes``; ``said`` (``_503="…"``) describes one otherwise."""
    found: dict[str, Any] = {}
    for code in codes:
        title, text = _SAID[code]
        found[code] = refused(code, title, said.get(f"_{code}", text), schema, _HEADERS.get(code))
    return found
