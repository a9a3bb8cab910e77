"""What a Kafka client logs, kept still where the caller says it in one clear line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_hush_lock = threading.Lock()
_hushes: list[int] = []


@contextmanager
def hushed() -> Iterator[None]:
    """Within, aiokafka does not log what the caller says in one clear line. May be nested."""
    logger = logging.getLogger("aiokafka")
    with _hush_lock:
        _hushes.append(_hushes[0] if _hushes else logger.level)
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        with _hush_lock:
            level = _hushes.pop()
            if not _hushes:
                logger.setLevel(level)
