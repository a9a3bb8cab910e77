"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), under ``/v2``.

The clients of KServe, Triton and MLServer speak it. Tensors come and go as JSON or in Triton's binary extension. An
error is an RFC 9457 problem that also has the protocol's own member, ``error``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version as version_of

import orjson
from servicekit import metrics
from servicekit.http import Health, json_response, problem
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from predictor.consumes.http.beside import LARGE_BYTES, beside
from predictor.consumes.http.body import parse_json, read_body
from predictor.consumes.http.problems import AGAIN, refusal
from predictor.domain.answer import Answer
from predictor.domain.inference import Inference, answered, check_outputs, check_served, describe, parse
from predictor.domain.inputs import rows
from predictor.domain.model import Model
from predictor.domain.request import Columns, Invalid, check
from predictor.domain.service import Predictor

HEADER = "Inference-Header-Content-Length"
INFER = "/v2/models/{name}/infer"
ENDING = "the service is about to end"
EXTENSIONS = ["binary_tensor_data", "parameters"]
Endpoint = Callable[[Request], Awaitable[Response]]


def make_routes(
    predictor: Predictor,
    health: Health,
    *,
    max_body_bytes: int,
    event_time_required: bool,
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """The protocol's routes."""

    def asked_for(request: Request) -> Model:
        model = predictor.model
        check_served(model, request.path_params["name"], request.path_params.get("version"))
        return model

    def answering(work: Endpoint, counted: bool = False) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            try:
                response = await work(request)
            except ClientDisconnect:
                return Response()  # nobody hears it
            except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
                refused = refusal(error)
                response = refused.response(error=refused.detail)
                if counted:
                    metrics.REQUESTS_REFUSED.labels(INFER, refused.cause).inc()
            if counted:
                metrics.REQUESTS.labels(INFER, response.status_code).inc()
                metrics.REQUEST_SECONDS.labels(INFER).observe(time.perf_counter() - started)
            return response

        return endpoint

    async def scored(request: Request) -> Response:
        body = await read_body(request.scope, request.receive, max_body_bytes)
        head, model, large = _head(request, len(body)), asked_for(request), len(body) > LARGE_BYTES
        asked, columns = await beside(read, body, head, model) if large else read(body, head, model)
        answer = await predictor.predict(columns, model)
        return await beside(_written, asked, answer, model) if large else _written(asked, answer, model)

    def read(body: bytes, head: int, model: Model) -> tuple[Inference, Columns]:
        asked = parse(parse_json(body[:head]), body[head:], model)
        check_outputs(asked, model)
        columns = check(
            rows(asked.tensors, model.fields), asked.event_time, model.fields,
            now=int(clock() * 1000), required=event_time_required, single=False,
        )  # fmt: skip
        return asked, columns

    async def server(_: Request) -> Response:
        version = version_of("atalaia-predictor")
        return json_response({"name": "atalaia-predictor", "version": version, "extensions": EXTENSIONS})

    async def live(_: Request) -> Response:
        return json_response({"live": True})

    def away(detail: str) -> Response:
        return problem(503, "Not ready", detail, headers=AGAIN, error=detail)

    async def ready(_: Request) -> Response:
        if health.draining:
            return away(ENDING)
        checks = await health.get()
        absent = [name for name, there in checks.items() if not there]
        if absent:
            return away(f"not there: {', '.join(absent)}")
        return json_response({"live": True, "ready": True})

    async def model_ready(request: Request) -> Response:
        if health.draining:
            return away(ENDING)
        return json_response({"name": asked_for(request).name, "ready": True})

    async def metadata(request: Request) -> Response:
        model = asked_for(request)
        named = {"name": model.name, "versions": [model.version], "platform": "onnx_onnxv1"}
        return json_response(named | describe(model))

    per_model = [
        Route(f"/v2/models/{{name}}{version}{path}", endpoint, methods=[method])
        for version in ("", "/versions/{version}")
        for path, endpoint, method in (
            ("", answering(metadata), "GET"),
            ("/ready", answering(model_ready), "GET"),
            ("/infer", answering(scored, counted=True), "POST"),
        )
    ]
    return [
        Route("/v2", server, methods=["GET"]),
        Route("/v2/", server, methods=["GET"]),  # the specification has it both ways
        Route("/v2/health/live", live, methods=["GET"]),
        Route("/v2/health/ready", ready, methods=["GET"]),
        *per_model,
    ]


def _written(asked: Inference, answer: Answer, model: Model) -> Response:
    content, binary = answered(asked, answer, model)
    if not binary:
        return json_response(content)
    text = orjson.dumps(content)
    return Response(text + binary, media_type="application/octet-stream", headers={HEADER: str(len(text))})


def _head(request: Request, size: int) -> int:
    """How many bytes of the body are JSON; the rest are tensors'."""
    given = request.headers.get(HEADER)
    if given is None:
        return size
    if not (given.isascii() and given.isdigit()) or not 0 < int(given) <= size:
        said = f"must be the number of bytes of the JSON object that a body of {size} begins with"
        raise Invalid([{"field": HEADER, "message": said}])
    return int(given)
