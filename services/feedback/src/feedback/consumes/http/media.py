"""What a request sends and what it wants back, by its headers."""

from __future__ import annotations

from email.message import Message

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
FORM = "multipart/form-data"
TYPES = (JSON, NDJSON, CSV, FORM)
_SAME = {
    "": JSON,
    "application/octet-stream": JSON,  # what clients say of bytes when nobody told them more
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "application/x-jsonlines": NDJSON,
    "application/jsonlines": NDJSON,
    "application/csv": CSV,
    "text/tab-separated-values": CSV,
}
_UTF8 = ("", "utf-8", "utf8", "us-ascii", "ascii")


def media_type(header: str) -> str | None:
    """One of ``TYPES``, or None for any other and for a charset other than UTF-8; no type stands for JSON.

    >>> media_type("Text/CSV; charset=utf-8"), media_type("application/geo+json"), media_type("text/csv; charset=latin1")
    ('text/csv', 'application/json', None)
    """
    kind, parameters = parsed(header)
    if parameters.get("charset", "").lower() not in _UTF8:
        return None
    kind = _SAME.get(kind, kind)
    if kind.endswith("+json"):
        return JSON
    return kind if kind in TYPES else None


def parsed(header: str) -> tuple[str, dict[str, str]]:
    """A header's value and its parameters.

    >>> parsed('form-data; name="file"; filename="a;b.csv"')
    ('form-data', {'name': 'file', 'filename': 'a;b.csv'})
    """
    message = Message()
    message["x"] = header
    found = message.get_params(failobj=[], header="x")
    return found[0][0].lower() if found else "", {name.lower(): value for name, value in found[1:]}


def wants_lines(accept: str) -> bool:
    """Whether a request names NDJSON among what it takes, and not JSON before it.

    >>> [wants_lines(a) for a in ("*/*", "application/x-ndjson", "application/json, application/x-ndjson;q=0.5")]
    [False, True, False]
    """
    weights = {JSON: 0.0, NDJSON: 0.0}
    for each in accept.split(","):
        kind, parameters = parsed(each.strip())
        kind = _SAME.get(kind, kind)
        if kind in weights:
            try:
                weights[kind] = float(parameters.get("q", "1"))
            except ValueError:
                continue
    return weights[NDJSON] > 0 and weights[NDJSON] >= weights[JSON]
