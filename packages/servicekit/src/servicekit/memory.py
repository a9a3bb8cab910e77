"""What a busy process does with memory that it has used."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)
_KEPT_BYTES, _APART_BYTES = 64 << 20, 32 << 20


def keep_freed() -> None:
    """Keep up to 64 MiB that were freed for the next request.

    glibc gives the hundreds of kilobytes of a large request back to the kernel after each, and gets them anew, page by
    page, with the next: a twentieth of its time. Where there is no glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _APART_BYTES)


def share_arenas() -> None:
    """Let all threads share two arenas of memory; called before they begin.

    glibc gives each thread its own, up to eight a core, and what one has freed no other may use: with RocksDB's and
    Kafka's threads a tenth of a busy process. Where there is no glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
