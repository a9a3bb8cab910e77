"""The drift-monitor as the bench runs it: as it is, but for its registry, which is one file."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from drift_monitor.bootstrap import run
from servicekit.config import read_settings


async def main(path: Path) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def fetch(model: str, version: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    await run(read_settings(), stop, fetch)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
