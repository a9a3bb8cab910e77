"""``atalaia watch``: reads, and shows it in the terminal or as a page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError
from servicekit.kafka import wait_for_kafka

from atalaia.watch.reading import Reading

ONCE_SECONDS = 120.0
PATIENCE_SECONDS = 5.0
FRAMES_A_SECOND = 2


def run(model: str, windows: int, *, web: bool, once: bool, host: str, port: int) -> None:
    """Until Ctrl-C; with ``once`` until all that is on the topics has been read and printed."""
    settings = read_settings(**({"watch_port": port} if port else {}), **({"host": host} if host else {}))
    if web and once:
        raise UserError("say either --web, which is a page that stays, or --once, which prints and ends")
    console = Console()
    reading = Reading(settings, windows)
    if once or not (web or console.is_terminal):
        asyncio.run(_print(reading, settings, model, console))
        return
    with contextlib.suppress(KeyboardInterrupt):  # how a watch ends
        asyncio.run(_serve(reading, settings, model, console) if web else _live(reading, model, console))


@contextlib.asynccontextmanager
async def _following(
    reading: Reading, moved: asyncio.Event | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Within, the topics are read; whatever ends the reading is raised."""
    task = asyncio.create_task(reading.follow(moved.set if moved else lambda: None))
    try:
        yield task
        if task.done():
            await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _serve(reading: Reading, settings: Settings, model: str, console: Console) -> None:
    from servicekit.http import serve
    from servicekit.listening import bind

    from atalaia.watch.web.app import make_app

    sock = bind(settings.host, settings.watch_port)
    app = make_app(reading, settings.host, model)
    stop = asyncio.Event()
    async with _following(reading) as task:
        task.add_done_callback(lambda _: stop.set())
        address = f"http://{settings.host}:{settings.watch_port}/"
        console.print(
            f"{address} shows what the topics of {settings.kafka} say; Ctrl-C ends it",
            highlight=False,
            soft_wrap=True,
        )
        await serve(app, settings.host, settings.watch_port, stop, sock=sock)


async def _print(reading: Reading, settings: Settings, model: str, console: Console) -> None:
    from atalaia.watch.terminal import frame

    await wait_for_kafka(settings, PATIENCE_SECONDS)
    moved = asyncio.Event()
    try:
        async with _following(reading, moved) as task, asyncio.timeout(ONCE_SECONDS):
            task.add_done_callback(lambda _: moved.set())
            while not (reading.complete or task.done()):
                await moved.wait()
                moved.clear()
    except TimeoutError:
        raise UserError(
            f"after {ONCE_SECONDS:.0f} seconds not all was read. {reading.watching.words}"
        ) from None
    if model and model not in reading.memories.models:
        named = ", ".join(sorted(reading.memories.models)) or "none"
        raise UserError(f"the topics name no model {model}; they name {named}.")
    console.print(frame(reading, model, console, lines=None))


async def _live(reading: Reading, model: str, console: Console) -> None:
    from rich.live import Live

    from atalaia.watch.terminal import frame

    async with _following(reading) as task:
        with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
            drawn: tuple[int, int, int] | None = None
            while not task.done():
                now = (reading.revision, console.width, console.height)
                if now != drawn:
                    live.update(frame(reading, model, console, lines=console.height), refresh=True)
                    drawn = now
                await asyncio.wait({task}, timeout=1 / FRAMES_A_SECOND)
