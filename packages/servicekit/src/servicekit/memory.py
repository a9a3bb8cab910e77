"""What a busy process does with memory that it has used."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
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
