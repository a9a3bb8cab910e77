"""Several embedded brokers as one KRaft cluster: topics are on three, and any one of three may be killed.

Each node is a controller and a broker, a process of its own (``broker.py``). Where a node is killed, the others
notice after its session, 5 s, and its partitions get other leaders; an acknowledged record (``acks=all``) is on two
nodes by then, for ``min.insync.replicas`` is 2.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from servicekit.broker import EmbeddedKafka, free_port
from servicekit.client_log import hushed
from servicekit.errors import UserError
from servicekit.quorum import Quorum, new_cluster_id

_TICK_SECONDS = 0.2


class EmbeddedBrokers:
    """``count`` brokers on the loopback interface; also a context manager.

    ``data_dir`` None keeps data in temporary folders that go with the brokers, else node n has ``data_dir/n``;
    ``ports``, one a node, are those of the clients, free ones where none are given.
    """

    def __init__(
        self,
        count: int = 3,
        data_dir: Path | None = None,
        ports: Sequence[int] | None = None,
        heap: str = "256m",
    ) -> None:
        quorum = Quorum(_cluster_id(data_dir), tuple(free_port() for _ in range(count)))
        given = ports or [free_port() for _ in range(count)]
        self.brokers = [
            EmbeddedKafka(data_dir / str(node) if data_dir else None, port, heap, quorum, node)
            for node, port in zip(range(1, count + 1), given, strict=True)
        ]

    @property
    def bootstrap(self) -> str:
        """All addresses: clients begin with any of them that answers."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self, timeout: float = 120.0) -> Self:
        """Start all at once, for one alone has no quorum; return when each knows all.

        Raises :class:`UserError` with the reason otherwise.
        """
        deadline = time.monotonic() + timeout
        try:
            with ThreadPoolExecutor(len(self.brokers)) as starters:
                list(starters.map(lambda broker: broker.start(timeout), self.brokers))
                left = max(1.0, deadline - time.monotonic())
                starters.submit(lambda: asyncio.run(self.until_in_sync(left))).result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all, each in its own time."""
        with ThreadPoolExecutor(len(self.brokers)) as enders:
            list(enders.map(EmbeddedKafka.stop, self.brokers))

    async def leader(self, topic: str, partition: int, timeout: float = 60.0) -> EmbeddedKafka:  # noqa: ASYNC109
        """The broker that leads a partition, once one does; :class:`UserError` where none does within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(KafkaError, OSError):  # the broker that was asked has just gone
                for described in (await self._described([topic]))["topics"]:
                    for each in described["partitions"]:
                        node = int(each["leader"])
                        if each["partition"] == partition and node > 0:
                            return self.brokers[node - 1]
            if time.monotonic() > deadline:
                raise UserError(f"No broker leads {topic}/{partition} after {timeout:.0f} s.")
            await asyncio.sleep(_TICK_SECONDS)

    async def in_sync(self) -> bool:
        """Whether all brokers are there, and every partition is on each of its replicas as far as it is acknowledged."""
        try:
            found = await self._described(None)
        except (KafkaError, OSError):
            return False
        return len(found["brokers"]) == len(self.brokers) and all(
            sorted(each["isr"]) == sorted(each["replicas"])
            for topic in found["topics"]
            for each in topic["partitions"]
        )

    async def until_in_sync(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109  it words the error
        """Return once :meth:`in_sync`; raises :class:`UserError` where that takes longer than ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not await self.in_sync():
            if time.monotonic() > deadline:
                raise UserError(f"The brokers at {self.bootstrap} are not in sync after {timeout:.0f} s.")
            await asyncio.sleep(_TICK_SECONDS)

    async def _described(self, topics: list[str] | None) -> dict[str, Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            with hushed():
                await admin.start()
                return {
                    "brokers": (await admin.describe_cluster())["brokers"],
                    "topics": await admin.describe_topics(topics),
                }
        finally:
            await admin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _cluster_id(data_dir: Path | None) -> str:
    """A new one; or that of the folder, which its nodes are bound to."""
    if data_dir is None:
        return new_cluster_id()
    kept = data_dir / "cluster-id"
    if not kept.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        kept.write_text(new_cluster_id(), encoding="utf-8")
    return kept.read_text(encoding="utf-8")
