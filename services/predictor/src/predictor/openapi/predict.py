"""``/predict/`` and ``/predict/batch`` in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import answered

from predictor.domain.model import Model
from predictor.domain.request import SECONDS_BELOW
from predictor.openapi.fields import features_schema, prediction_example, prediction_schema
from predictor.openapi.problems import problems

_TIMES: list[dict[str, Any]] = [
    {"type": "string", "format": "date-time", "pattern": "^(19[789]|[2-9])", "description": "ISO 8601 with offset"},
    {"type": "integer", "minimum": SECONDS_BELOW, "maximum": 2**53 - 1, "description": "ms since 1970"},
]  # fmt: skip
_WHEN = "When it happened, five minutes ahead of now at the most; that of the request where it is left out."
_REQUIRED = "When it happened, five minutes ahead of now at the most. This project requires it."
EXAMPLE_TIME = "2000-01-01T00:00:00+00:00"  # early: sent as it is, the example moves no window on
_NAMED = {
    "model": {"type": "string", "description": "name of the model"},
    "version": {"type": "string", "description": "the version that scored"},
}


def schemas(model: Model) -> dict[str, Any]:
    """What the operations refer to."""
    return {"Features": features_schema(model), "Prediction": prediction_schema(model)}


def _operation(
    name: str, summary: str, body: dict[str, Any], answer: dict[str, Any], examples: tuple[Any, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["Predict"],
        "summary": summary,
        "description": "A body may be compressed: Content-Encoding gzip or deflate.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": examples[0]}},
        },
        "responses": {
            "200": answered("scored and recorded", answer, examples[1]),
            **problems("405", "413", "415", "422", "500", "503"),
        },
    }


def paths(model: Model, event_time_required: bool) -> dict[str, Any]:
    """Both routes, for the model's own fields."""
    features = {"$ref": "#/components/schemas/Features"}
    said = _REQUIRED if event_time_required else _WHEN
    extra = ["event_time"] if event_time_required else []
    absent = [] if event_time_required else [{"type": "null"}]
    single = {
        "type": "object",
        "additionalProperties": False,
        "required": ["features", *extra],
        "properties": {"features": features, "event_time": {"description": said, "anyOf": [*_TIMES, *absent]}},
    }  # fmt: skip
    each = {
        "type": "array",
        "items": {"anyOf": _TIMES},
        "minItems": 1,
        "description": "one for each row, in order",
    }
    batch = {
        "type": "object",
        "additionalProperties": False,
        "required": ["rows", *extra],
        "properties": {
            "rows": {"type": "array", "items": features, "minItems": 1},
            "event_time": {
                "description": f"{said} One for all rows, or one each.",
                "anyOf": [*_TIMES, each, *absent],
            },
        },
    }
    many = {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "version", "predictions"],
        "properties": _NAMED
        | {"predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}},
    }
    row = prediction_example(model)
    by = {"model": model.name, "version": model.version}
    at = {"event_time": EXAMPLE_TIME} if event_time_required else {}
    return {
        "/api/v1.0/predict/": {
            "post": _operation(
                "predict", "One row", single, prediction_schema(model, _NAMED), ({"features": model.examples} | at, by | row),
            )
        },
        "/api/v1.0/predict/batch": {
            "post": _operation(
                "predict_batch", "Many rows, scored and recorded together", batch, many,
                ({"rows": [model.examples] * 2} | at, by | {"predictions": [row, row]}),
            )
        },
    }  # fmt: skip
