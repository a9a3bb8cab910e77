"""JSON Schemas of a model's fields and of its answers, from its profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.codec import prediction_id
from summaries.categories import Categories
from summaries.profile import Field, FieldSpec

from predictor.domain.inference import example_of
from predictor.domain.model import Model

FLOAT32_MAX = 3.4028234663852886e38
_TYPES: dict[str, dict[str, Any]] = {
    "float32": {"type": "number", "format": "float"},
    "int64": {"type": "integer", "format": "int64"},
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "text": {"type": "string"},
}
_KNOWN = 10  # categories that are given as examples


def value_schema(field: FieldSpec) -> dict[str, Any]:
    """One value of a field, not a missing one: what the check takes, and no more."""
    if field.dtype == "vector":
        number = value_schema(FieldSpec(field.name, "float32", min=field.min, max=field.max))
        return {"type": "array", "items": number, "minItems": field.length, "maxItems": field.length}
    schema = dict(_TYPES[field.dtype])
    low, high = {"float32": (-FLOAT32_MAX, FLOAT32_MAX), "int64": (-(2**63), 2**63 - 1)}.get(
        field.dtype, (None, None)
    )
    if low is None or high is None:
        return schema
    if field.kind == "numeric":
        low = low if field.min is None else max(low, field.min)
        high = high if field.max is None else min(high, field.max)
    return schema | {"minimum": low, "maximum": high}


def field_schema(field: Field, example: Any) -> dict[str, Any]:
    """A field with its words, its range and examples; null where it may be missing."""
    spec = field.spec
    schema = value_schema(spec)
    if spec.optional:
        schema["type"] = [schema["type"], "null"]
    words = [f"{spec.description} ({spec.unit})" if spec.unit else spec.description]
    if spec.shape and len(spec.shape) > 1:
        words.append(f"shape {list(spec.shape)}, row after row")
    if spec.unit:
        schema["x-unit"] = spec.unit
    examples = [example]
    if isinstance(field.reference, Categories) and spec.dtype == "string":
        known = sorted(zip(field.reference.counts, field.reference.names, strict=False), reverse=True)
        examples += [name for count, name in known[:_KNOWN] if count and name != example]
    return schema | {"description": "; ".join(word for word in words if word), "examples": examples}


def features_schema(model: Model) -> dict[str, Any]:
    """A row's features by name."""
    return {
        "type": "object",
        "description": "One row's features, each by its name; an optional one may be null or left out.",
        "additionalProperties": False,
        "required": [field.name for field in model.fields if not field.optional],
        "properties": {
            field.name: field_schema(field, model.examples[field.name]) for field in model.profile.features
        },
        "examples": [model.examples],
    }


def label_schema(model: Model) -> dict[str, Any]:
    """A prediction: one of the classes, or a number."""
    label = type(example_of(model)[0])
    schema = {bool: _TYPES["bool"], int: _TYPES["int64"], float: {"type": "number"}, str: _TYPES["string"]}[
        label
    ]
    if model.classes and label in (int, str):
        return schema | {"enum": [label(name) for name in model.classes]}
    return schema


def prediction_schema(model: Model, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A row of an answer, the target under its own name; ``more`` are members of its own."""
    properties: dict[str, Any] = dict(more or {}) | {
        "prediction_id": {
            "type": "string",
            "description": "name it when the truth is known: POST /api/v1.0/feedback/",
        },
        model.target: label_schema(model) | {"description": "the prediction"},
    }
    if example_of(model)[1] is not None:
        names = model.classes or []
        # sums of 32-bit floats may end a little above 1
        chance = {"type": "number", "minimum": 0, "maximum": 1.000001}
        properties["probabilities"] = {
            "type": "object",
            "description": "by class",
            "required": names,
            "additionalProperties": False,
            "properties": dict.fromkeys(names, chance),
        }
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def prediction_example(model: Model) -> dict[str, Any]:
    """What the model answers to its own example."""
    label, chances = example_of(model)
    row = {"prediction_id": prediction_id("0123456789abcdef" * 2, 0), model.target: label}
    return row | ({} if chances is None else {"probabilities": chances})
