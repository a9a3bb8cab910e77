"""Whole lines of a body, gathered until there are enough of them to be worth a record for each partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from feedback.domain.lines import Lines

BLOCK_BYTES = 1_000_000  # some 10,000 labels, which twelve partitions share
BLOCK_LINES = 20_000  # however short they are: reading them holds up all else
BLOCK_SECONDS = 0.5  # a slow upload's labels wait no longer for others


async def blocks(
    body: AsyncIterator[bytes], block_bytes: int = BLOCK_BYTES, seconds: float = BLOCK_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Each block is whole lines, and only the last one may lack its newline. Raises what ``body`` raises.

    A last line that ``body`` broke off within is not given: nobody knows how it would have ended.
    """
    lines, clock, due = Lines(), asyncio.get_running_loop().time, 0.0
    following = asyncio.ensure_future(anext(body, None))
    try:
        while True:
            await asyncio.wait({following}, timeout=max(0.0, due - clock()) if lines.size else None)
            if following.done():
                piece = following.result()
                if piece is None:
                    break
                due = due if lines.size else clock() + seconds
                lines.feed(piece)
                following = asyncio.ensure_future(anext(body, None))
            if lines.size >= block_bytes or lines.count >= BLOCK_LINES or (lines.size and clock() >= due):
                yield lines.take()
    finally:
        following.cancel()
        await asyncio.wait({following})
    if last := lines.take() + lines.rest():
        yield last
