"""May a schema change, without a new version of its type?

Topics are kept for ever and read again from the beginning, so a new reader meets old messages; and services
are replaced one by one, so an old reader meets new messages. Both have to go well. Readers ignore unknown
fields; so the one change that breaks neither side is an optional field more or less. Any other is breaking: a
field that is gone, retyped, newly required or no longer always there, an enumeration or union that grew (old
readers) or shrank (new readers), and all of that in nested types.

>>> old = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
>>> breaking_changes(old, {**old, "properties": {"rows": {"type": "string"}}})
['message.rows: type was integer, is string']
>>> is_breaking(old, {**old, "properties": {**old["properties"], "note": {"type": "string"}}})
False
"""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]
_WORDS = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$defs", "$comment"})


def is_breaking(old: Schema, new: Schema) -> bool:
    """Whether a reader of either schema could stumble over a message of the other."""
    return bool(breaking_changes(old, new))


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What breaks, each with its place; empty where nothing does."""
    return _compare(_inlined(old, old, ()), _inlined(new, new, ()), "message")


def _inlined(node: Any, root: Schema, path: tuple[str, ...]) -> Any:
    """``node`` with references replaced by what they name, and without the words that only explain.

    Unions and enumerations are sets: they are sorted.
    """
    if isinstance(node, list):
        return [_inlined(item, root, path) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        if name in path:
            return {"recursive": name}
        return _inlined(root["$defs"][name], root, (*path, name))
    result: dict[str, Any] = {}
    for word, value in node.items():
        if word == "properties":
            result[word] = {name: _inlined(inner, root, path) for name, inner in value.items()}
        elif word in {"anyOf", "oneOf", "allOf", "enum", "required"} or (
            word == "type" and isinstance(value, list)
        ):
            result[word] = sorted(
                _inlined(value, root, path), key=lambda item: json.dumps(item, sort_keys=True)
            )
        elif word not in _WORDS:
            result[word] = _inlined(value, root, path)
    return result


def _compare(old: Any, new: Any, at: str) -> list[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [f"{at}: was {_short(old)}, is {_short(new)}"]
    found = []
    for word in sorted(old.keys() | new.keys()):
        a, b = old.get(word), new.get(word)
        if word == "properties":
            found += _properties(old, new, at)
        elif word == "required":
            found += [f"{at}.{name}: is no longer always there" for name in a or () if name not in (b or ())]
            found += [
                f"{at}.{name}: is required now, old messages lack it"
                for name in b or ()
                if name not in (a or ())
            ]
        elif word in {"items", "additionalProperties"} and isinstance(a, dict) and isinstance(b, dict):
            found += _compare(a, b, f"{at}[]")
        elif a != b:
            found.append(f"{at}: {word} was {_short(a)}, is {_short(b)}")
    return found


def _properties(old: Schema, new: Schema, at: str) -> list[str]:
    a, b = old.get("properties", {}), new.get("properties", {})
    found = [line for name in a if name in b for line in _compare(a[name], b[name], f"{at}.{name}")]
    # A field that only one side promises is told of as a change of `required`.
    promised = {*old.get("required", ())} & {*new.get("required", ())}
    return found + [
        f"{at}.{name}: is promised and not described" for name in sorted(promised & (a.keys() ^ b.keys()))
    ]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:200]
