"""The registry's alias follows ``model-events``, which is the truth about what serves."""

from __future__ import annotations

import asyncio
import logging

from servicekit.registry import Registry

from trainer import registered
from trainer.domain.knowledge import Knowledge
from trainer.reading import Reader

log = logging.getLogger("trainer")


class Alias:
    """``at``: where we left it."""

    def __init__(self, knowledge: Knowledge, registry: Registry, reader: Reader) -> None:
        self._knowledge, self._registry, self._reader = knowledge, registry, reader
        self._moving = asyncio.Lock()  # one moves it at a time, to what serves by then
        self.at: str | None = None

    async def follow(self) -> None:
        """Follow what others say on ``model-events``, such as a rollback, for ever."""
        await self._reader.caught_up.wait()
        delay = registered.FIRST_DELAY
        while True:
            serving = self._knowledge.serving
            if serving is None or serving.version == self.at:
                await self._reader.said.wait()
                self._reader.said.clear()
            elif await self.move():
                delay = registered.FIRST_DELAY
            else:
                await asyncio.sleep(delay)
                delay = min(2 * delay, registered.LONGEST_DELAY)

    async def move(self) -> bool:
        """Let it name what serves; a crash may come between the two. Whether it does."""
        async with self._moving:
            serving = self._knowledge.serving
            if serving is None:
                return True
            try:
                alias = await asyncio.to_thread(self._registry.champion, serving.model)
                if alias != serving.version:
                    log.info(
                        "the registry's champion was %s, now %s as model-events say", alias, serving.version
                    )
                    await asyncio.to_thread(self._registry.set_champion, serving.model, serving.version)
            except Exception as error:  # noqa: BLE001  whatever the registry raises, serving does not hang on it
                log.warning("the registry's alias could not be moved, trying again: %s", error)
                return False
            self.at = serving.version
            return True
