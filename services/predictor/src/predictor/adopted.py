"""Spools of workers that no longer start: replayed by whoever is alive."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from predictor.produces.predictions import Connect, PredictionLog
from predictor.spool import Spool, adopt

log = logging.getLogger(__name__)
LOOK_SECONDS = 30.0
FLUSH_SECONDS = 5.0


async def replay_orphans(folder: Path, connect: Connect) -> None:
    """For ever: take each spool in ``folder`` that nobody uses, send what is in it, and let go of it.

    A worker that is started again takes its own spool itself; this is for one that is not. What goes wrong with
    another's spool is no reason to end: it is tried again.
    """
    while True:
        try:
            spool = await asyncio.to_thread(adopt, folder)
            if spool is not None:
                await _replay(spool, connect)
                continue
        except Exception as error:  # noqa: BLE001  no broker, no file handle, a disk that is gone
            log.warning("a spool of a worker that has gone waits: %s", error)
        await asyncio.sleep(LOOK_SECONDS)


async def _replay(spool: Spool, connect: Connect) -> None:
    """Send what is in ``spool``; it is free again afterwards, whatever happens."""
    try:
        producer = await connect()
    except BaseException:
        spool.close()
        raise
    log.info("%d records of a worker that has gone are replayed from %s", spool.records, spool.path)
    predictions = PredictionLog(producer, connect, spool, max_bytes=0, patience=1.0)
    try:
        await predictions.replayed()
    finally:
        await predictions.close(FLUSH_SECONDS)
