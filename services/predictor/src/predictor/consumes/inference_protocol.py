"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), under ``/v2``.

The clients of KServe, Triton and MLServer speak it. Tensors come and go as JSON or in Triton's binary extension. An
error is an RFC 9457 problem that also has the protocol's own member, ``error``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version as version_of
from typing import Any

import orjson
from scoring import Unscorable
from servicekit import metrics
from servicekit.http import Health, json_response, problem
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from predictor.consumes.body import UnknownEncoding, parse_json, read_body
from predictor.domain.inference import answered, check_outputs, describe, parse
from predictor.domain.inputs import rows
from predictor.domain.model import Model
from predictor.domain.request import Invalid, TooLarge, check
from predictor.domain.service import NoModel, Predictor
from predictor.produces.predictions import NotPublished

HEADER = "Inference-Header-Content-Length"
INFER = "/v2/models/{name}/infer"
EXTENSIONS = ["binary_tensor_data", "parameters"]
log = logging.getLogger(__name__)


class NotServed(LookupError):
    """Another model or version than the one that serves; the message says which does."""


def make_routes(
    predictor: Predictor,
    health: Health,
    *,
    max_body_bytes: int,
    event_time_required: bool,
    clock: Callable[[], float] = time.time,
) -> list[BaseRoute]:
    """The protocol's routes, to stand before others that take the same paths."""

    def asked_for(request: Request) -> Model:
        model = predictor.model
        name, version = request.path_params["name"], request.path_params.get("version", model.version)
        if (name, version) != (model.name, model.version):
            raise NotServed(
                f"Version {version} of {name} does not serve here." if version != model.version
                else f"Model {name} does not serve here."
            )  # fmt: skip
        return model

    async def infer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await scored(request)
        except Exception as error:  # noqa: BLE001  what is not known is raised again
            response = refusal(error)
        metrics.REQUESTS.labels(INFER, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(INFER).observe(time.perf_counter() - started)
        return response

    async def scored(request: Request) -> Response:
        body = await read_body(request.scope, request.receive, max_body_bytes)
        head = _head(request, len(body))
        model = asked_for(request)
        asked = parse(parse_json(body[:head]), body[head:])
        check_outputs(asked, model)
        columns = check(
            rows(asked.tensors, model.fields), asked.event_time, model.fields,
            now=int(clock() * 1000), required=event_time_required, single=False,
        )  # fmt: skip
        content, binary = answered(asked, await predictor.predict(columns, model), model)
        if not binary:
            return json_response(content)
        text = orjson.dumps(content)
        return Response(
            text + binary, media_type="application/octet-stream", headers={HEADER: str(len(text))}
        )

    async def server(_: Request) -> Response:
        version = version_of("atalaia-predictor")
        return json_response({"name": "atalaia-predictor", "version": version, "extensions": EXTENSIONS})

    async def live(_: Request) -> Response:
        return json_response({"live": True})

    async def ready(_: Request) -> Response:
        checks = await health.get()
        away = [name for name, there in checks.items() if not there]
        if away:
            return _problem(503, "Not ready", f"not there: {', '.join(away)}", {"Retry-After": "5"})
        return json_response({"live": True, "ready": True})

    async def model_ready(request: Request) -> Response:
        return json_response({"name": asked_for(request).name, "ready": True})

    async def metadata(request: Request) -> Response:
        model = asked_for(request)
        named = {"name": model.name, "versions": [model.version], "platform": "onnx_onnxv1"}
        return json_response(named | describe(model))

    def refusal(error: Exception) -> Response:
        """The problem that an error is; raises what is none of ours."""
        if isinstance(error, Invalid):
            return _problem(422, "Invalid input", str(error), errors=error.errors)
        if isinstance(error, NotServed):
            model = predictor.model
            return _problem(404, "Not served", f"{error} Version {model.version} of {model.name} does.")
        if isinstance(error, TooLarge):
            return _problem(413, "Too large", str(error))
        if isinstance(error, UnknownEncoding):
            return _problem(415, "Unsupported encoding", str(error), {"Accept-Encoding": "gzip, deflate"})
        if isinstance(error, NoModel):
            return _problem(503, "No model", str(error), {"Retry-After": "5"})
        if isinstance(error, NotPublished):
            said = f"{error}; no prediction was promised. Try again."
            return _problem(503, "Not recorded", said, {"Retry-After": "5"})
        if isinstance(error, Unscorable):
            log.error("a request was not scored: %s", error)
            return _problem(500, "Not scored", "The model failed on these rows; no prediction was promised.")
        raise error

    async def refused(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            detail = f"{error.detail}: see /docs."
            return _problem(error.status_code, error.detail, detail, error.headers)
        return refusal(error)

    model_routes = [
        Route(f"/models/{{name}}{version}{path}", endpoint, methods=[method])
        for version in ("", "/versions/{version}")
        for path, endpoint, method in (
            ("", metadata, "GET"),
            ("/ready", model_ready, "GET"),
            ("/infer", infer, "POST"),
        )
    ]
    # an application of its own, so that what no route answers has the protocol's member too
    protocol = Starlette(
        routes=[
            Route("/", server, methods=["GET"]),
            Route("/health/live", live, methods=["GET"]),
            Route("/health/ready", ready, methods=["GET"]),
            *model_routes,
        ],
        exception_handlers=dict.fromkeys((HTTPException, NotServed, NoModel), refused),
    )
    return [Route("/v2", server, methods=["GET"]), Mount("/v2", protocol)]


def _head(request: Request, size: int) -> int:
    """How many bytes of the body are JSON; the rest are tensors'."""
    given = request.headers.get(HEADER)
    if given is None:
        return size
    if not (given.isascii() and given.isdigit()) or not 0 < int(given) <= size:
        said = f"must be the number of bytes of the JSON object that a body of {size} begins with"
        raise Invalid([{"field": HEADER, "message": said}])
    return int(given)


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **extensions: Any
) -> Response:
    return problem(status, title, detail, headers=dict(headers or {}), error=detail, **extensions)
