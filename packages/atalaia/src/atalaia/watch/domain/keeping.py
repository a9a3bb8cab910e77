"""How much is kept, and which of what has the same key."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from contracts.events import AlertChanged, WindowTested

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T", AlertChanged, WindowTested)
KEEP_TOLD = 400  # alerts, decisions and whatever else people and services say


def bare_of_shapes(event: T) -> T:
    """The event without the shapes of its features, which are most of it."""
    features = {name: msgspec.structs.replace(f, shape=None) for name, f in event.features.items()}
    return msgspec.structs.replace(event, features=features)


def put(into: dict[K, V], key: K, value: V, keep: int) -> None:
    """Put it there; of more than ``keep`` the one of the least key goes, which is the oldest: keys begin with a time.

    >>> kept = {1: "a", 2: "b"}
    >>> put(kept, 3, "c", keep=2); kept
    {2: 'b', 3: 'c'}
    """
    into[key] = value
    while len(into) > keep:
        del into[min(into)]  # type: ignore[type-var]


def last(into: dict[K, V], key: K, value: V, keep: int = KEEP_TOLD) -> None:
    """Put it behind all others; of more than ``keep`` the first goes."""
    into.pop(key, None)
    into[key] = value
    while len(into) > keep:
        del into[next(iter(into))]


def first(into: dict[K, V], key: K, value: V) -> None:
    """Put it there unless there is one: of what has the same id the first holds."""
    if key not in into:
        last(into, key, value)
