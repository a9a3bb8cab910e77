"""A monitor as a process of its own that can be killed; its registry is one JSON file a version."""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from drift_monitor.bootstrap import run
from servicekit.config import Settings
from servicekit.errors import UserError


def fetch(model: str, version: str) -> dict[str, Any]:
    """The profile from its file; raises where there is none yet."""
    profiles = Path(sys.argv[1])
    content: dict[str, Any] = json.loads((profiles / f"{model}-{version}.json").read_text())
    return content


async def main() -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(Settings(), stop, fetch)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(main())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
