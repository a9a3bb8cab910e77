"""Large bodies are parsed beside the loop: all others are answered, and labels joined, meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE_BYTES = 200_000  # to parse as many takes 2 ms, or ten times that where each line is wrong
Given = ParamSpec("Given")
Found = TypeVar("Found")


async def beside(
    body: bytes, parse: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs
) -> Found:
    """What ``parse`` returns or raises; in a thread where ``body`` is large. Python takes turns every 5 ms."""
    if len(body) <= LARGE_BYTES:
        return parse(*args, **kwargs)
    return await asyncio.to_thread(parse, *args, **kwargs)
