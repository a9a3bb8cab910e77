"""What could not be done, the same on every route: the cause that is counted, and an RFC 9457 problem."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from scoring import Unscorable
from servicekit.http import problem
from starlette.responses import Response

from predictor.consumes.http.body import UnknownEncoding
from predictor.domain.inference import NotServed
from predictor.domain.request import Invalid, TooLarge
from predictor.domain.service import NoModel
from predictor.produces.predictions import NotPublished

AGAIN = {"Retry-After": "5"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """``cause`` is as ``atalaia_requests_refused_total`` names it; ``members`` are the problem's own."""

    cause: str
    status: int
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)

    def response(self, **members: Any) -> Response:
        """The problem; ``members`` are a protocol's own."""
        return problem(self.status, self.title, self.detail, self.headers, **self.members, **members)


def refusal(error: Exception) -> Refusal:
    """What becomes of an error, whatever it is. One that nobody foresaw is logged."""
    said = str(error)
    if isinstance(error, Invalid):
        return Refusal("invalid", 422, "Invalid input", said, members={"errors": error.errors})
    if isinstance(error, TooLarge):
        return Refusal("too_large", 413, "Too large", said)
    if isinstance(error, UnknownEncoding):
        return Refusal("invalid", 415, "Unsupported encoding", said, {"Accept-Encoding": "gzip, deflate"})
    if isinstance(error, NotServed):
        return Refusal("not_served", 404, "Not served", said)
    if isinstance(error, NoModel):
        return Refusal("no_model", 503, "No model", said, AGAIN)
    if isinstance(error, NotPublished):
        detail = f"{said}; no prediction was promised. Try again."
        return Refusal("not_recorded", 503, "Not recorded", detail, AGAIN)
    if isinstance(error, Unscorable):
        log.error("a request was not scored: %s", said)
        detail = "The model failed on these rows; no prediction was promised."
        return Refusal("not_scored", 500, "Not scored", detail)
    log.error("a request failed", exc_info=error)
    detail = "The service's log says more; no prediction was promised."
    return Refusal("error", 500, "Internal error", detail)
