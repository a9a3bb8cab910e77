"""``python -m drift_monitor``: run the monitor until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys

from servicekit.config import read_settings
from servicekit.errors import UserError
from servicekit.kafka_access import permitted
from servicekit.logs import set_up

from drift_monitor.bootstrap import run


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(read_settings(), stop)


def main() -> None:
    """Exit 0 when asked to stop, 2 with one clear line where the user can mend it."""
    set_up()
    try:
        with permitted():
            asyncio.run(_until_signal())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
