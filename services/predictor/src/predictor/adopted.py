"""Spools of workers that no longer start: replayed by whoever is alive."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from predictor.produces.predictions import Connect, PredictionLog
from predictor.spool import adopt

log = logging.getLogger(__name__)
LOOK_SECONDS = 30.0
FLUSH_SECONDS = 5.0


async def replay_orphans(folder: Path, connect: Connect) -> None:
    """For ever: take each spool in ``folder`` that nobody uses, send what is in it, and let go of it.

    A worker that is started again takes its own spool itself; this is for one that is not.
    """
    while True:
        spool = await asyncio.to_thread(adopt, folder)
        if spool is None:
            await asyncio.sleep(LOOK_SECONDS)
            continue
        log.info("%d records of a worker that has gone are replayed from %s", spool.records, spool.path)
        predictions = PredictionLog(await connect(), connect, spool, max_bytes=0, patience=1.0)
        try:
            await predictions.replayed()
        finally:
            await predictions.close(FLUSH_SECONDS)
