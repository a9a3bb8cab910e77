"""The OpenAPI document of what is really served: fields, types, units and ranges of the serving version."""

from __future__ import annotations

from typing import Any

from predictor.domain.model import Model

_TYPES = {
    "float32": "number", "int64": "integer", "string": "string", "bool": "boolean", "text": "string", "vector": "array"
}  # fmt: skip
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "row": {"type": "integer"},
                },
            },
        },
    },
}
_TIME = {
    "description": "When it happened: ISO 8601 with offset, or milliseconds since 1970.",
    "oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}],
}


def _feature(model: Model) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in model.fields:
        kind = _TYPES[field.dtype]
        text = f"{field.description} ({field.unit})" if field.unit else field.description
        node: dict[str, Any] = {"type": [kind, "null"] if field.optional else kind, "description": text}
        of = node
        if field.dtype == "vector":
            of = node["items"] = {"type": "number"}
            node |= {"minItems": field.length, "maxItems": field.length}
        if field.min is not None:
            of["minimum"] = field.min
        if field.max is not None:
            of["maximum"] = field.max
        properties[field.name] = node | {"examples": [model.examples[field.name]]}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [f.name for f in model.fields if not f.optional],
        "properties": properties,
        "examples": [model.examples],
    }


def _row(model: Model) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "prediction_id": {"type": "string"},
        model.target: {"description": "prediction"},
    }
    if model.classes:
        properties["probabilities"] = {
            "type": "object",
            "properties": {
                name: {"type": "number", "minimum": 0, "maximum": 1.000001} for name in model.classes
            },
        }
    return {"type": "object", "required": ["prediction_id", model.target], "properties": properties}


def _operation(summary: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problems = {
        "413": "body too large", "422": "a field is missing, unknown, mistyped or out of range",
        "503": "no model yet, or Kafka did not acknowledge: nothing was promised",
    }  # fmt: skip
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "scored and recorded",
                "content": {"application/json": {"schema": answer}},
            },
            **{code: {"description": text, "content": content} for code, text in problems.items()},
        },
    }


def document(model: Model | None, event_time_required: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document; without a model it says that none is loaded yet."""
    served = f"Serves {model.name}, version {model.version}." if model else "No model is loaded yet."
    result: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Atalaia predictor", "version": "1.0.0", "description": served},
        "paths": {},
        "components": {"schemas": {"Problem": PROBLEM}},
    }
    if model is None:
        return result
    result["components"]["schemas"] |= {"Features": _feature(model), "Prediction": _row(model)}
    features = {"$ref": "#/components/schemas/Features"}
    named = {"model": {"type": "string"}, "version": {"type": "string"}}
    extra = ["event_time"] if event_time_required else []
    single = {
        "type": "object",
        "additionalProperties": False,
        "required": ["features", *extra],
        "properties": {"features": features, "event_time": _TIME},
    }
    batch = {
        "type": "object",
        "additionalProperties": False,
        "required": ["rows", *extra],
        "properties": {
            "rows": {"type": "array", "items": features, "minItems": 1},
            "event_time": {"oneOf": [*_TIME["oneOf"], {"type": "array", "items": {"oneOf": _TIME["oneOf"]}}]},
        },
    }
    one = _row(model)
    one = one | {"properties": named | one["properties"], "required": ["model", "version", *one["required"]]}
    many = {
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": named
        | {"predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}},
    }
    result["paths"] = {
        "/api/v1.0/predict/": {"post": _operation("One row", single, one)},
        "/api/v1.0/predict/batch": {
            "post": _operation("Many rows, scored and recorded together", batch, many)
        },
    }
    return result
