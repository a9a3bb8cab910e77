"""The nodes of an embedded cluster, each a controller and a broker, and what a node's ``server.properties`` says.

Kafka's own defaults for what is not named (https://kafka.apache.org/documentation/#brokerconfigs).
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_MOST_REPLICAS = 3


def new_cluster_id() -> str:
    """A random id as ``kafka-storage format`` takes it."""
    raw = uuid.uuid4().bytes
    # The first bit is cleared because an id that began with a dash would be taken for an option.
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x7F]) + raw[1:]).decode().rstrip("=")


@dataclass(frozen=True)
class Quorum:
    """``controllers`` are the ports of the nodes' controllers; node n has the n-th, from 1."""

    cluster_id: str
    controllers: tuple[int, ...]

    @property
    def replicas(self) -> int:
        """Of every topic, the internal ones too: one a node, at most three.

        >>> [Quorum("c", (1,) * nodes).replicas for nodes in (1, 2, 3, 5)]
        [1, 2, 3, 3]
        """
        return min(_MOST_REPLICAS, len(self.controllers))

    @property
    def min_insync(self) -> int:
        """Replicas that an acknowledged record is on, at the least: of three, any one may be lost.

        >>> [Quorum("c", (1,) * nodes).min_insync for nodes in (1, 2, 3)]
        [1, 1, 2]
        """
        return max(1, self.replicas - 1)

    @property
    def format_options(self) -> list[str]:
        """What ``kafka-storage format`` is told of who votes."""
        return ["--standalone"] if len(self.controllers) == 1 else []

    def properties(self, node: int, port: int, folder: Path) -> str:
        """``server.properties`` of a node whose clients use ``port``."""
        listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{self.controllers[node - 1]}"
        return "\n".join(
            [
                "process.roles=broker,controller",
                f"node.id={node}",
                f"listeners={listeners}",
                f"advertised.listeners={listeners}",
                "controller.listener.names=CONTROLLER",
                self._voters(),
                f"log.dirs={folder}",
                f"default.replication.factor={self.replicas}",
                f"min.insync.replicas={self.min_insync}",
                f"offsets.topic.replication.factor={self.replicas}",
                "offsets.topic.num.partitions=8",
                f"transaction.state.log.replication.factor={self.replicas}",
                f"transaction.state.log.min.isr={self.min_insync}",
                f"share.coordinator.state.topic.replication.factor={self.replicas}",
                f"share.coordinator.state.topic.min.isr={self.min_insync}",
                "group.initial.rebalance.delay.ms=0",
                "auto.create.topics.enable=false",
                "log.message.timestamp.type=LogAppendTime",
                "log.cleaner.dedupe.buffer.size=16777216",  # the default is a quarter of our heap
                "num.network.threads=2",
                "num.io.threads=4",
                # A killed broker may register again only when its old session is over; until then it leads.
                "broker.session.timeout.ms=5000",
                "broker.heartbeat.interval.ms=500",
                "",
            ]
        )

    def _voters(self) -> str:
        if len(self.controllers) == 1:
            return f"controller.quorum.bootstrap.servers={HOST}:{self.controllers[0]}"
        # Given here and not kept on disk, so that a cluster may come back on other ports.
        voters = ",".join(f"{n}@{HOST}:{port}" for n, port in enumerate(self.controllers, 1))
        return f"controller.quorum.voters={voters}"
