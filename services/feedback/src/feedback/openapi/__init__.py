"""The OpenAPI document of feedback's HTTP."""

from __future__ import annotations

from typing import Any

from feedback.openapi import labels, operations, questions
from feedback.openapi.problems import PROBLEM, UPLOAD_PROBLEM

TAGS = [
    {"name": "Labels", "description": "The truth, by prediction_id. It is answered once Kafka has it."},
    {"name": "Questions", "description": "What became of it. Any replica answers."},
    {"name": "Operations", "description": "Health and metrics."},
]


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Atalaia feedback",
            "version": "1.0.0",
            "description": "Truth that comes late, by prediction_id: one label or many, corrections allowed.",
        },
        "tags": TAGS,
        "paths": labels.PATHS | questions.PATHS | operations.PATHS,
        "components": {
            "schemas": {
                "Problem": PROBLEM,
                "UploadProblem": UPLOAD_PROBLEM,
                **labels.SCHEMAS,
                **questions.SCHEMAS,
                **operations.SCHEMAS,
            }
        },
    }
