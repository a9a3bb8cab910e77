"""Several workers, each a process, on real Kafka; only the registry is a stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.codec import Unreadable, decode, prediction_id
from contracts.events import ModelChanged, PredictionsMade
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_whole

pytestmark = [pytest.mark.kafka, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]
CONNECTIONS = 8


async def until(fact: Callable[[], Any], seconds: float = 60) -> Any:
    """What ``fact`` says, awaited, once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = fact()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class Closed(Exception):
    """The connection ended before the first byte of an answer."""


class Connection:
    """A kept connection; it knows nothing that the bytes do not say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.closing = reader, writer, False

    @classmethod
    async def to(cls, port: int) -> Connection:
        """Raises ``ConnectionRefusedError`` where nobody listens."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, path: str, content: Any = None) -> tuple[int, bytes]:
        """Status and body; raises :class:`Closed`, and ``IncompleteReadError`` for half an answer."""
        body = b"" if content is None else json.dumps(content).encode()
        method = "GET" if content is None else "POST"
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        except ConnectionError as error:
            raise Closed from error
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            raise Closed from error
        found = re.search(r"content-length: (\d+)", head)
        assert found is not None
        self.closing = "connection: close" in head
        return int(head.split()[1]), await self.reader.readexactly(int(found[1]))

    def close(self) -> None:
        """Give it up."""
        self.writer.close()


class Service:
    """A predictor of ``workers`` workers, in processes of its own."""

    def __init__(self, kafka: str, model: str, workers: int, folder: Path) -> None:
        self.settings = Settings(kafka=kafka, model=model, predictor_port=free_port(), workers=workers)
        self.port, self.log, self.folder = self.settings.predictor_port, folder / "predictor.log", folder
        self.start()

    def start(self) -> None:
        """Start it."""
        env = {
            "ATALAIA_KAFKA": self.settings.kafka, "ATALAIA_MODEL": self.settings.model,
            "ATALAIA_PREDICTOR_PORT": str(self.port), "ATALAIA_WORKERS": str(self.settings.workers),
            "ATALAIA_DATA_DIR": str(self.folder / "data"),
        }  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker.py"))],
                env={**os.environ, **env}, stdout=log, stderr=log,
            )  # fmt: skip

    def workers(self) -> set[int]:
        """The workers' process ids."""
        pid = self.process.pid
        return {int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def connections_of(self, worker: int) -> int:
        """How many connections a worker has to callers."""
        lines = [line.split() for line in Path(f"/proc/{worker}/net/tcp").read_text().splitlines()[1:]]
        made = {line[9] for line in lines if line[1].endswith(f":{self.port:04X}") and line[3] == "01"}
        links = [os.readlink(link) for link in Path(f"/proc/{worker}/fd").iterdir()]
        return sum(link.removeprefix("socket:[").removesuffix("]") in made for link in links)

    async def get(self, path: str) -> tuple[int, bytes]:
        """A GET on a connection of its own; status 0 where nobody answers."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            connection = await Connection.to(self.port)
        except ConnectionRefusedError:
            return 0, b""
        try:
            return await connection.ask(path)
        finally:
            connection.close()

    async def ready(self) -> None:
        """Wait until the workers that it has say that they are."""

        async def fact() -> bool:
            return (await self.get("/health/ready"))[0] == 200

        await until(fact)

    async def metric(self, series: str) -> float | None:
        """The value of a series at ``/metrics``."""
        text = (await self.get("/metrics"))[1].decode()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    async def serving(self, version: str, workers: int) -> None:
        """Wait until so many workers serve a version, and none another."""

        async def fact() -> bool:
            text = (await self.get("/metrics"))[1].decode()
            info = re.findall(r"^atalaia_model_info\{(.*)\} (\S+)$", text, re.MULTILINE)
            action = "installed" if version == "1" else "promoted"
            served = f'action="{action}",model="{self.settings.model}",version="{version}"'
            return info == [(served, f"{float(workers)}")]

        await until(fact)

    async def end(self) -> int:
        """Wait for the end; the code."""
        return await asyncio.to_thread(self.process.wait, 40)

    async def published(self) -> list[str]:
        """The ids of the rows in the topic."""
        found = []
        async for batch in read_whole(self.settings, "predictions"):
            for record in batch:
                with contextlib.suppress(Unreadable):
                    event = decode(PredictionsMade, record.value, record.headers)
                    if event.model == self.settings.model:
                        found += [prediction_id(event.batch_id, i) for i in range(len(event.predictions))]
        return found


class Load:
    """Callers that ask without a pause, each on a connection that it keeps as long as it may, or on one a request."""

    def __init__(self, service: Service, callers: int = CONNECTIONS, keep: bool = True) -> None:
        self.service, self.ids, self.closed, self.refused, self.keep = service, list[str](), 0, 0, keep
        self.enough = False
        self.tasks = [asyncio.create_task(self._ask()) for _ in range(callers)]

    async def _ask(self) -> None:
        row = {"features": {"a": 1.5}}
        connection = await Connection.to(self.service.port)
        fresh = True
        while not self.enough:
            try:
                status, body = await connection.ask("/api/v1.0/predict/", row)
            except Closed:
                if fresh:  # it may never have been accepted
                    self.refused += 1
                else:
                    self.closed += 1
                connection.closing = True
            else:
                assert status == 200, body
                self.ids.append(json.loads(body)["prediction_id"])
                fresh = False
            if connection.closing or not self.keep:
                connection.close()
                try:
                    connection, fresh = await Connection.to(self.service.port), True
                except ConnectionError:
                    return
        connection.close()

    async def more(self, n: int = 200) -> None:
        """Wait for so many answers more."""
        wanted = len(self.ids) + n
        await until(lambda: len(self.ids) >= wanted or any(task.done() for task in self.tasks))
        assert len(self.ids) >= wanted, [task.exception() for task in self.tasks if task.done()]

    async def end(self) -> None:
        """Ask no more."""
        self.enough = True
        await asyncio.wait_for(asyncio.gather(*self.tasks), 30)


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """One broker for the module."""
    with EmbeddedKafka() as broker:
        yield broker.bootstrap


@pytest.fixture
async def start(kafka: str, tmp_path: Path) -> AsyncIterator[Callable[[str, int], Service]]:
    """Starts a service that is gone at the test's end."""
    made: list[Service] = []

    def make(model: str, workers: int) -> Service:
        made.append(Service(kafka, model, workers, tmp_path))
        return made[-1]

    yield make
    for service in made:
        service.process.kill()  # and the kernel its workers
        service.process.wait()


SENT = 'atalaia_requests_total{route="/api/v1.0/predict/",status="200"}'


async def test_workers_add_up_take_up_each_version_and_replace_a_dead_one(
    start: Callable[[str, int], Service],
) -> None:
    """Metrics are the sum, a version is served by both; a killed worker costs its own connections alone and is replaced."""
    service = start("several", 2)
    await service.ready()
    await service.serving("1", 2)
    first = await until(lambda: len(found := service.workers()) == 2 and found)
    load = Load(service)
    await load.more()
    await load.end()
    answered = load.ids
    assert {await service.metric(SENT) for _ in range(8)} == {len(answered)}

    callers = 4 * CONNECTIONS  # the system draws lots between workers: of eight connections one may have none
    load = Load(service, callers)
    await load.more()
    producer = await make_producer(service.settings, "test")
    event = ModelChanged(
        model="several", version="2", previous_version="1", action="promoted", artifact_uri="", sha256="",
        effective_from=0, reason="",
    )  # fmt: skip
    await publish(producer, "model-events", event, source="test", key="several")
    await producer.stop()
    await service.serving("2", 2)

    killed = min(first)
    doomed = service.connections_of(killed)
    assert 0 < doomed < callers
    os.kill(killed, signal.SIGKILL)
    visitors = Load(service, 2, keep=False)
    await service.serving("2", 1)
    await load.more()
    await service.serving("2", 2)
    assert len(service.workers() - first) == 1
    await load.more()
    await load.end()
    await visitors.end()
    assert (
        visitors.ids
    )  # who comes while the place is being filled notices nothing: a status but 200 has raised
    assert (visitors.closed, visitors.refused) == (0, 0)
    assert 0 < load.closed + load.refused <= doomed  # once each; nobody else noticed, before or after
    answered += load.ids + visitors.ids
    counted = await service.metric(SENT)
    assert counted is not None
    assert len(answered) <= counted <= len(answered) + doomed  # what was counted may have died on its way out
    service.process.send_signal(signal.SIGTERM)
    assert await service.end() == 0
    assert set(answered) <= set(await service.published())


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_end_under_load_breaks_no_answer(
    start: Callable[[str, int], Service], workers: int
) -> None:
    """After SIGTERM each request on a kept connection gets its 200, the end comes in time, and all answers are in the
    topic."""
    model = f"ends-{workers}"
    service = start(model, workers)
    await service.ready()
    await service.serving("1", workers)
    idle = await Connection.to(service.port)
    assert (await idle.ask("/health/ready"))[0] == 200
    load = Load(service)
    await load.more()
    service.process.send_signal(signal.SIGTERM)
    while not idle.closing:
        status, body = await idle.ask("/health/ready")
    assert (status, json.loads(body)) == (503, {"status": "draining"})
    assert await service.end() == 0
    await asyncio.wait_for(asyncio.gather(*load.tasks), 10)  # each has found nobody listening
    assert load.closed == 0
    published = await service.published()
    assert set(load.ids) <= set(published)
    assert len(set(published)) == len(published)


async def test_one_worker_that_is_told_to_end_costs_no_request(start: Callable[[str, int], Service]) -> None:
    """SIGTERM to one worker alone: it ends its connections with an answer each, the other takes the new ones, and its
    place is filled."""
    service = start("renewed", 2)
    await service.ready()
    await service.serving("1", 2)
    load = Load(service)
    await load.more()
    ended = max(service.workers())
    os.kill(ended, signal.SIGTERM)
    await until(lambda: not Path(f"/proc/{ended}").exists())
    await service.serving("1", 2)
    await load.more()
    await load.end()
    assert (load.closed, load.refused) == (0, 0)
    service.process.send_signal(signal.SIGTERM)
    assert await service.end() == 0
    assert set(load.ids) <= set(await service.published())


async def test_a_killed_supervisor_takes_its_workers_along(start: Callable[[str, int], Service]) -> None:
    """After ``kill -9`` of the supervisor no worker is left, its port is free, and the next removes its folder."""
    service = start("orphans", 2)
    await service.ready()
    workers = await until(lambda: len(found := service.workers()) == 2 and found)
    folders = {argument for pid in workers for argument in arguments(pid) if "atalaia-predictor-" in argument}
    assert len(folders) == 1
    service.process.kill()
    service.process.wait()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    (folder,) = map(Path, folders)
    service.start()
    await service.ready()
    assert not folder.exists()
    service.process.send_signal(signal.SIGTERM)
    assert await service.end() == 0


def arguments(pid: int) -> list[str]:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_the_user_can_mend_is_said_once(
    workers: int, tmp_path: Path, start: Callable[[str, int], Service]
) -> None:
    """A wrong address, which the workers notice, ends everything with code 2 and one message."""
    service = start("wrong", workers)
    service.process.kill()
    service.process.wait()
    service.log.unlink()
    service.settings.kafka = "nonsense:port"
    service.start()
    assert await service.end() == 2
    said = [line for line in service.log.read_text().splitlines() if " INFO " not in line]
    assert len(said) == 1, said
    assert said[0].startswith("ATALAIA_KAFKA=nonsense:port cannot be used")
