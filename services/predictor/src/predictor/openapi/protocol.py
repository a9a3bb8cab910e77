"""The Open Inference Protocol's routes in the OpenAPI document, for the model that serves.

JSON Schema cannot say that the tensors of a request have as many rows each, nor that data fill their shape: what it
refuses is refused, but not all that it lets through is accepted.
"""

from __future__ import annotations

from typing import Any

from servicekit.openapi import answered

from predictor.domain.inference import describe
from predictor.domain.inputs import DATATYPES
from predictor.domain.model import Model
from predictor.domain.tensors import DATATYPES as ALL_DATATYPES
from predictor.openapi.operations import get
from predictor.openapi.predict import EXAMPLE_TIME
from predictor.openapi.problems import problems

TAG = "Open Inference Protocol"
_TEXT = {"type": "string"}
_PARAMETERS = {"type": ["object", "null"], "additionalProperties": True}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_DATA: dict[str, Any] = {
    "description": "the values, row after row, flat or nested as the shape is; null where one is missing",
    "type": ["array", "null"],
    "items": {
        "anyOf": [
            {"type": ["number", "string", "boolean", "null"]},
            {"type": "array", "items": {"$ref": "#/components/schemas/TensorEntry"}},
        ]
    },
}
_HEADER = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "with tensors as bytes: how many bytes of the body are the JSON object before them",
    "schema": {"type": "integer", "minimum": 1},
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _metadata(name: str) -> dict[str, Any]:
    shape = {"type": "array", "items": {"type": "integer", "minimum": -1}}
    return {
        "description": name,
        "type": "array",
        "items": _object(
            ["name", "datatype", "shape"], name=_TEXT, datatype={"enum": list(ALL_DATATYPES)}, shape=shape
        ),
    }


def schemas(model: Model) -> dict[str, Any]:
    """What the operations refer to."""
    size = {"type": "integer", "minimum": 0, "description": "the tensor's bytes behind the JSON object"}
    described = "; ".join(f"{f.name}: {DATATYPES[f.dtype]}" for f in model.fields)
    return {
        "TensorEntry": _DATA["items"],
        "InferenceRequest": _object(
            ["inputs"],
            id={"type": ["string", "null"], "description": "comes back with the answer"},
            parameters=_PARAMETERS
            | {
                "description": "event_time as in /predict, one or an array with one each; binary_data_output: "
                "all outputs as bytes. Others are left alone."
            },
            inputs={
                "type": "array",
                "minItems": 1,
                "description": f"one tensor a feature ({described}), or one of all features side by side "
                "where they are numbers",
                "items": _object(
                    ["name", "shape", "datatype"],
                    name=_TEXT,
                    shape=_SHAPE,
                    datatype={"enum": list(ALL_DATATYPES)},
                    data=_DATA,
                    parameters=_PARAMETERS | {"properties": {"binary_data_size": {"anyOf": [size, {"type": "null"}]}}},
                ),
            },
            outputs={
                "type": ["array", "null"],
                "description": "the outputs wanted, in this order; all where it is left out",
                "items": _object(
                    ["name"],
                    name={"enum": [output["name"] for output in describe(model)["outputs"]]},
                    parameters=_PARAMETERS | {"properties": {"binary_data": {"type": ["boolean", "null"]}}},
                ),
            },
        ),
        "InferenceResponse": _object(
            ["model_name", "model_version", "outputs"],
            model_name={"const": model.name},
            model_version=_TEXT,
            id=_TEXT,
            outputs={
                "type": "array",
                "items": _object(
                    ["name", "shape", "datatype"],
                    name=_TEXT,
                    shape=_SHAPE,
                    datatype={"enum": list(ALL_DATATYPES)},
                    data={"type": "array"},
                    parameters={
                        "type": "object",
                        "properties": {
                            "classes": {"type": "string", "description": "their names in order, as a JSON array"},
                            "binary_data_size": size,
                        },
                    },
                ),
            },
        ),
        "ModelMetadata": _object(
            ["name", "versions", "platform", "inputs", "outputs"],
            name=_TEXT,
            versions={"type": "array", "items": _TEXT},
            platform=_TEXT,
            inputs=_metadata("one a feature; -1 is the number of rows"),
            outputs=_metadata("the target, probabilities where there are any, and prediction_id"),
        ),
    }  # fmt: skip


def _example(model: Model, event_time_required: bool) -> dict[str, Any]:
    inputs = [
        {"name": f.name, "datatype": DATATYPES[f.dtype], "shape": [1, *(f.shape or ())],
         "data": model.examples[f.name] if f.dtype == "vector" else [model.examples[f.name]]}
        for f in model.fields
    ]  # fmt: skip
    parameters = {"parameters": {"event_time": EXAMPLE_TIME}} if event_time_required else {}
    return {"id": "1", **parameters, "inputs": inputs}


def _infer(model: Model, name: str, event_time_required: bool) -> dict[str, Any]:
    header = {key: value for key, value in _HEADER.items() if key not in ("name", "in")}
    request, binary = (
        {"$ref": "#/components/schemas/InferenceRequest"},
        {"type": "string", "format": "binary"},
    )
    answer = answered("scored and recorded", {"$ref": "#/components/schemas/InferenceResponse"})
    answer["content"]["application/octet-stream"] = {"schema": binary}
    answer["headers"] = {"Inference-Header-Content-Length": header}
    return {
        "post": {
            "operationId": name,
            "tags": [TAG],
            "summary": "Score tensors",
            "description": "A body may be compressed: Content-Encoding gzip or deflate. Sent as bytes, tensors follow "
            "the JSON object in the order in which it names them.",
            "parameters": [_HEADER],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": request, "example": _example(model, event_time_required)},
                    "application/octet-stream": {"schema": binary},
                },
            },
            "responses": {"200": answer}
            | problems("404", "405", "413", "415", "422", "500", "503", schema="ProtocolProblem"),
        }
    }


def _path(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}


def paths(model: Model, event_time_required: bool) -> dict[str, Any]:
    """All of ``/v2``."""
    flag = {"type": "boolean"}
    server = _object(
        ["name", "version", "extensions"],
        name=_TEXT,
        version=_TEXT,
        extensions={"type": "array", "items": _TEXT},
    )
    away = problems("503", schema="ProtocolProblem")

    def got(name: str, summary: str, schema: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
        responses = {"200": answered("it is", schema)} | others
        return get(name, TAG, summary, responses, schema="ProtocolProblem")

    found: dict[str, Any] = {
        "/v2": {"get": get("server", TAG, "The server", {"200": answered("what it is", server)})["get"]},
        "/v2/health/live": got("server_live", "Whether it is there", _object(["live"], live=flag), {}),
        "/v2/health/ready": got(
            "server_ready", "Whether it can score", _object(["ready"], live=flag, ready=flag), away
        ),
    }
    metadata = {"$ref": "#/components/schemas/ModelMetadata"}
    ready = _object(["name", "ready"], name=_TEXT, ready=flag)
    others = problems("404", "503", schema="ProtocolProblem")
    for suffix, version, name in (
        ("", "", ""),
        ("/versions/{version}", "version", "_version"),
    ):
        given = {
            "parameters": [_path("name", model.name), *([_path("version", model.version)] if version else [])]
        }
        base = f"/v2/models/{{name}}{suffix}"
        found[base] = got(f"model{name}", "Inputs and outputs", metadata, others) | given
        found[f"{base}/ready"] = got(f"model_ready{name}", "Whether it serves", ready, others) | given
        found[f"{base}/infer"] = _infer(model, f"infer{name}", event_time_required) | given
    return found
