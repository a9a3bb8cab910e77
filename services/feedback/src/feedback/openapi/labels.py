"""The routes that take labels."""

from __future__ import annotations

from typing import Any

from servicekit.openapi import answered

from feedback.domain.lines import MAX_LINE
from feedback.domain.truth import MAX_TRUTH
from feedback.openapi.problems import COUNTS, problems

_ID = "0123456789abcdef0123456789abcdef.0"
_UPLOAD = "5f1c0c7b1d0c4f0e8d8e6f0c9b6a3d21"
ID: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[0-9a-f]{32}\.[0-9]{1,6}$",
    "description": "as the prediction's answer named it",
    "examples": [_ID],
}
TRUTH: dict[str, Any] = {
    "description": 'the class or the number that turned out to be right; "5", 5 and 5.0 name one class',
    "anyOf": [
        {"type": "string", "maxLength": MAX_TRUTH},
        {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "number"},
        {"type": "boolean"},
    ],
    "examples": ["late", 12.5, True],
}
_MOMENT: list[dict[str, Any]] = [
    {"type": "integer", "minimum": -62_135_596_800_000, "maximum": 2**53 - 1},
    {"type": "string", "format": "date-time"},
    {"type": "null"},
]
TIME: dict[str, Any] = {
    "description": "when the truth became known, in milliseconds since 1970 or as ISO 8601 with its offset; now where it "
    "is left out. At most five minutes ahead",
    "anyOf": _MOMENT,
    "examples": ["2013-01-01T08:30:00-05:00", 1_357_047_000_000],
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


_TEXT = {"type": "string"}
SCHEMAS: dict[str, Any] = {
    "PredictionId": ID,
    "Truth": TRUTH,
    "LabelTime": TIME,
    "Label": _object(
        ["prediction_id", "truth"],
        prediction_id={"$ref": "#/components/schemas/PredictionId"},
        truth={"$ref": "#/components/schemas/Truth"},
        label_time={"$ref": "#/components/schemas/LabelTime"},
    ),
    "LabelRows": _object(
        ["labels"],
        labels={"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Label"}},
    ),
    "LabelColumns": {
        "description": "columns of equal length; label_time may be one for all",
        **_object(
            ["prediction_id", "truth"],
            prediction_id={"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/PredictionId"}},
            truth={"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Truth"}},
            label_time={
                "anyOf": [*_MOMENT, {"type": "array", "items": {"$ref": "#/components/schemas/LabelTime"}}]
            },
        ),
    },
    "Accepted": _object(["accepted", "upload_id"], upload_id=_TEXT, **COUNTS),
    "Progress": {
        "description": "one line; the last one bears status, and is else what the answer would have been",
        "anyOf": [
            _object(list(COUNTS), **COUNTS),
            _object(["status", "upload_id", *COUNTS], status={"const": 202}, upload_id=_TEXT, **COUNTS),
            {"$ref": "#/components/schemas/UploadProblem"},
        ],
    },
}  # fmt: skip
_ACCEPTED = {"$ref": "#/components/schemas/Accepted"}
_NOT_TAKEN = "Kafka did not take the labels: send them again, what is there already changes nothing"
_ROW = {"prediction_id": _ID, "truth": "late", "label_time": "2013-01-01T08:30:00-05:00"}
_LINES = (
    f'{{"prediction_id": "{_ID}", "truth": "late"}}\n{{"prediction_id": "{_ID[:-1]}1", "truth": "on time"}}\n'
)
_CSV = f"prediction_id,truth,label_time\n{_ID},late,2013-01-01T08:30:00-05:00\n{_ID[:-1]}1,on time,\n"
_BATCH = f"""JSON is checked whole: one label that is wrong, and nothing is accepted.

NDJSON (a label's object on each line) and CSV (a header, then a line for each label; or such a file in a form) are taken in
while they arrive and have no size limit; a line has {MAX_LINE} bytes at the most. A line that is no label is left out and
named, and the rest goes on: the answer is 422 then, and says how many labels are accepted. With `strict=true` the upload ends
at that line. What is accepted stays accepted, also where the upload breaks off; to send it all again changes nothing.

With `Accept: application/x-ndjson` the answer is 200 and tells how far Kafka has the labels while they arrive; its last line
bears the `status` that the answer would have had. A body may be compressed: `Content-Encoding: gzip` or `deflate`."""
PATHS: dict[str, Any] = {
    "/api/v1.0/feedback/": {
        "post": {
            "operationId": "label",
            "tags": ["Labels"],
            "summary": "One label",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Label"}, "example": _ROW}
                },
            },
            "responses": {
                "202": answered("Kafka has it", _ACCEPTED, {"accepted": 1, "upload_id": _UPLOAD}),
                **problems("405", "413", "415", "422", "500"),
                **problems("503", _503=_NOT_TAKEN),
            },
        }
    },
    "/api/v1.0/feedback/batch": {
        "post": {
            "operationId": "labels",
            "tags": ["Labels"],
            "summary": "Many labels",
            "description": _BATCH,
            "parameters": [
                {
                    "name": "strict",
                    "in": "query",
                    "required": False,
                    "description": "of NDJSON and CSV: end at the first line that is no label",
                    "schema": {"type": "boolean", "default": False},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "anyOf": [
                                {"$ref": "#/components/schemas/LabelColumns"},
                                {"$ref": "#/components/schemas/LabelRows"},
                            ]
                        },
                        "examples": {
                            "columns": {"value": {"prediction_id": [_ID, f"{_ID[:-1]}1"], "truth": ["late", "on time"]}},
                            "rows": {"value": {"labels": [_ROW]}},
                        },
                    },
                    "application/x-ndjson": {"schema": _TEXT, "example": _LINES},
                    "text/csv": {"schema": _TEXT, "example": _CSV},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {"file": {"type": "string", "format": "binary", "description": "NDJSON or CSV"}},
                        }
                    },
                },
            },
            "responses": {
                "200": {
                    "description": "the progress of NDJSON or CSV, where the request accepts application/x-ndjson",
                    "content": {"application/x-ndjson": {"schema": {"$ref": "#/components/schemas/Progress"}}},
                },
                "202": answered("Kafka has them all", _ACCEPTED, {"accepted": 2, "upload_id": _UPLOAD}),
                **problems("405"),
                **problems("413", "415", "500", schema="UploadProblem"),
                **problems("422", schema="UploadProblem", _422="of JSON: nothing is accepted; of lines: those named are not"),
                **problems("503", schema="UploadProblem", _503=_NOT_TAKEN),
            },
        }
    },
}  # fmt: skip
