"""The routes that ask the join."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import answered

from feedback.openapi.labels import ID
from feedback.openapi.problems import problems

_INTEGER = {"type": "integer"}
_STATES = {
    "pending": "it waits for its truth, or its truth for the prediction",
    "joined": "the truth is known",
    "unknown": "nothing was predicted under this id, as far as is known",
    "expired": "no truth came within the horizon",
}
_EXAMPLE = {
    "prediction_id": ID["examples"][0],
    "state": "joined",
    "truth": "late",
    "label_time": 1_357_047_000_000,
    "revision": 0,
}
_ID = {"$ref": "#/components/schemas/PredictionId"}
_STATE = {"$ref": "#/components/schemas/State"}
SCHEMAS: dict[str, Any] = {
    "State": {
        "type": "object",
        "required": ["prediction_id", "state"],
        "properties": {
            "prediction_id": _ID,
            "state": {
                "type": "string",
                "enum": list(_STATES),
                "description": "; ".join(f"{name}: {meaning}" for name, meaning in _STATES.items()),
            },
            "truth": {"$ref": "#/components/schemas/Truth"},
            "label_time": _INTEGER | {"description": "when the truth became known, ms since 1970"},
            "revision": _INTEGER | {"minimum": 0, "description": "how often the truth was corrected"},
        },
    },
    "Status": {
        "type": "object",
        "required": ["decided_through"],
        "description": "the counts of the join",
        "properties": {"decided_through": {"type": ["integer", "null"], "description": "event time, ms"}},
    },
}
_CODES = ("405", "500", "503")


def _post(
    name: str, summary: str, body: dict[str, Any], example: Any, responses: Any, *codes: str
) -> dict[str, Any]:
    content = {"application/json": {"schema": body, "example": example}}
    return {
        "post": {
            "operationId": name,
            "tags": ["Questions"],
            "summary": summary,
            "requestBody": {"required": name != "flush", "content": content},
            "responses": responses | problems("413", "415", "422", *_CODES, *codes),
        }
    }


PATHS: dict[str, Any] = {
    "/api/v1.0/feedback/{prediction_id}": {
        "get": {
            "operationId": "state",
            "tags": ["Questions"],
            "summary": "The state of a prediction: pending, joined, unknown or expired",
            "parameters": [{"name": "prediction_id", "in": "path", "required": True, "schema": _ID}],
            "responses": {
                "200": answered("what is known of it", _STATE, _EXAMPLE),
                **problems("422", _422="not the form of a prediction_id"),
                **problems(*_CODES),
            },
        }
    },
    "/api/v1.0/feedback/states": _post(
        "states", "The states of up to 10,000 predictions",
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["prediction_id"],
            "properties": {"prediction_id": {"type": "array", "items": _ID, "minItems": 1, "maxItems": 10_000}},
        },
        {"prediction_id": ID["examples"]},
        {
            "200": answered(
                "in the order of the request",
                {
                    "type": "object",
                    "required": ["states"],
                    "additionalProperties": False,
                    "properties": {"states": {"type": "array", "items": _STATE}},
                },
                {"states": [_EXAMPLE]},
            )
        },
    ),
    "/api/v1.0/status": {
        "get": {
            "operationId": "status",
            "tags": ["Questions"],
            "summary": "How far quality is decided, and the counts of the join",
            "responses": {
                "200": answered("as of now", {"$ref": "#/components/schemas/Status"}),
                **problems(*_CODES),
            },
        }
    },
    "/api/v1.0/flush": _post(
        "flush", "Decide the windows that a finished replay left open",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "until": {
                    "type": ["integer", "null"],
                    "minimum": -(2**53) + 1,
                    "maximum": 2**53 - 1,
                    "description": "event time, ms, at most five minutes ahead of now; the end of the newest window "
                    "where it is left out",
                }
            },
        },
        {"until": 1_388_534_400_000},
        {
            "200": answered(
                "decided as far as this",
                {
                    "type": "object",
                    "required": ["decided_through"],
                    "additionalProperties": False,
                    "properties": {"decided_through": {"type": ["integer", "null"]}},
                },
                {"decided_through": 1_388_534_400_000},
            )
        },
        "403",
    ),
}  # fmt: skip
