"""The OpenAPI document of what is really served: fields, types, units and ranges of the serving version."""

from __future__ import annotations

from typing import Any

from predictor.domain.model import Model
from predictor.openapi import operations, predict, protocol
from predictor.openapi.problems import PROBLEM, PROTOCOL_PROBLEM

TAGS = [
    {"name": "Predict", "description": "Rows in, predictions out; each is recorded before it is answered."},
    {
        "name": "Open Inference Protocol",
        "description": "For the clients of KServe, Triton and MLServer: tensors, as JSON or bytes.",
    },
    {"name": "Operations", "description": "Which version serves, health and metrics."},
]


def document(model: Model | None, event_time_required: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document; without a model it has only the routes that need none."""
    served = f"Serves {model.name}, version {model.version}." if model else "No model is loaded yet."
    schemas: dict[str, Any] = {"Problem": PROBLEM, "ProtocolProblem": PROTOCOL_PROBLEM, **operations.SCHEMAS}
    paths: dict[str, Any] = {}
    if model is not None:
        schemas |= predict.schemas(model) | protocol.schemas(model)
        paths |= predict.paths(model, event_time_required) | protocol.paths(model, event_time_required)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Atalaia predictor", "version": "1.0.0", "description": served},
        "tags": TAGS,
        "paths": paths | operations.PATHS,
        "components": {"schemas": schemas},
    }
