"""What could not be done, the same on every route: an RFC 9457 problem."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from servicekit.http import problem
from starlette.exceptions import HTTPException
from starlette.responses import Response

from feedback.consumes.http.answers import Elsewhere, Unready
from feedback.consumes.http.media import TYPES
from feedback.domain.uploads import Refused

AGAIN = {"Retry-After": "5"}
log = logging.getLogger(__name__)


class TooLarge(ValueError):
    """A body with more bytes than are read at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"A JSON body has {limit} bytes at the most (ATALAIA_MAX_BODY_BYTES): send the labels in parts, or as "
            "NDJSON or CSV, which have no limit."
        )


class UnknownEncoding(ValueError):
    """A Content-Encoding that is not understood."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"Content-Encoding {encoding[:80]!r} is not understood: send gzip, deflate or none.")


class UnknownType(ValueError):
    """A Content-Type that is not understood here; ``taken`` are those that are."""

    def __init__(self, given: str, taken: tuple[str, ...] = TYPES) -> None:
        super().__init__(f"Content-Type {given[:80]!r} is not taken here: send {', '.join(taken)}.")
        self.taken = taken


class NotTaken(Exception):
    """Kafka did not acknowledge labels."""


class OwnerAway(Exception):
    """The replica that holds the partition does not answer."""


@dataclass(frozen=True)
class Problem:
    """``members`` are the problem's own."""

    status: int
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)

    def response(self) -> Response:
        """As an answer."""
        return problem(self.status, self.title, self.detail, self.headers, **self.members)

    def content(self) -> dict[str, Any]:
        """As the last line of an answer that has begun."""
        named = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return named | self.members


def problem_of(error: Exception) -> Problem:
    """What becomes of an error, whatever it is. One that nobody foresaw is logged."""
    said = str(error) or type(error).__name__
    match error:
        case Refused():
            where = {"field": error.field, "row": error.row}
            members = {name: value for name, value in where.items() if value is not None}
            return Problem(422, "Refused", error.detail, members=members)
        case TooLarge():
            return Problem(413, "Too large", said)
        case UnknownEncoding():
            return Problem(415, "Unsupported encoding", said, {"Accept-Encoding": "gzip, deflate"})
        case UnknownType():
            return Problem(415, "Unsupported media type", said, {"Accept": ", ".join(error.taken)})
        case NotTaken():
            return Problem(503, "Kafka did not take the labels", said, AGAIN)
        case Unready():
            return Problem(503, "Not ready", said, AGAIN)
        case OwnerAway():
            return Problem(503, "Not answered", said, AGAIN)
        case Elsewhere():
            detail = "The replicas do not agree on who holds this partition: it is on its way."
            return Problem(503, "Not ready", detail, AGAIN)
        case HTTPException():
            return Problem(
                error.status_code, error.detail, f"{error.detail}: see /docs.", dict(error.headers or {})
            )
    log.error("a request failed", exc_info=error)
    return Problem(500, "Internal error", "The service's log says more.")
