"""One spelling for a category, whatever type it travelled in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def text(value: object) -> str | None:
    """The category a value stands for, or None where it is missing; raises ``ValueError`` on anything else.

    JSON, NumPy and pandas write one label in several types; 5, 5.0 and "5" are the same class.

    >>> text(True), text(np.int64(5)), text(5.0), text("WN"), text(None), text(float("nan"))
    ('true', '5', '5', 'WN', None, None)
    """
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        if math.isinf(number):
            raise ValueError("an infinity is no category")
        return str(int(number)) if number.is_integer() else repr(number)
    raise ValueError(f"{type(value).__name__} is no category")


def texts(column: list[Any]) -> list[str | None]:
    """:func:`text` of each entry; what is text already costs nothing.

    >>> texts([1, "WN", 1.0, True, None])
    ['1', 'WN', '1', 'true', None]
    """
    if set(map(type, column)) <= {str, type(None)}:
        return column
    # Few distinct values; the type belongs to the key because True == 1 == 1.0.
    keys = list(zip(map(type, column), column, strict=True))
    known = {key: text(key[1]) for key in set(keys)}
    return [known[key] for key in keys]


def names_of(labels: NDArray[Any]) -> NDArray[np.str_]:
    """The classes that labels [N] name; a missing one is empty.

    >>> names_of(np.array([True, False])).tolist(), names_of(np.array([5.0, 5.5])).tolist()
    (['true', 'false'], ['5', '5.5'])
    """
    return np.array([name or "" for name in texts(np.asarray(labels).tolist())], dtype=np.str_)
