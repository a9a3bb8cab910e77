"""``python -m predictor``: the service, set by environment variables ``ATALAIA_*``."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from servicekit.config import read_settings
from servicekit.errors import UserError
from servicekit.kafka_access import permitted
from servicekit.logs import set_up

from predictor.workers import supervise, worker_of


def main() -> int:
    """Run, as the supervisor, one of its workers, or alone; 2 where the user can mend what is wrong, said in one line."""
    worker = worker_of(sys.argv[1:])
    set_up(f"worker {worker.number}" if worker else "")
    try:
        settings = read_settings()
        if worker is None and settings.workers > 1:
            return asyncio.run(supervise(settings))
        from predictor.bootstrap import (
            run,
        )  # here, for it makes the metrics, and a supervisor has no need of it

        with permitted():
            uvloop.run(run(settings, sock=worker.sock if worker else None))
    except UserError as error:
        if worker is None:
            print(error, file=sys.stderr)
        else:
            worker.says(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
