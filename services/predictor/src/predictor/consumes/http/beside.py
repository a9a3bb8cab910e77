"""Large requests are read and written beside the loop, one at a time: all others are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

LARGE_BYTES = 500_000  # of a body; to read and check as many takes about 50 ms, to hand it to a thread 0.1 ms
_thread = ThreadPoolExecutor(1, "large-requests")
Given = ParamSpec("Given")
Found = TypeVar("Found")


async def beside(work: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """What ``work`` returns or raises; it waits for those before it. Python takes turns every 5 ms."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: work(*args, **kwargs))
