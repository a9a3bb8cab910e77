"""Start-up restore, no live loop: ``panes``, compacted, read whole once, before anything is counted.

One worker counts all partitions, and its owner takes each pane as it is written. Several workers will share
the partitions, and the owner will go on reading this topic; ``Owner.replace`` is made for that: it takes a
pane only by a higher offset, so receiving one twice changes nothing.
"""

from __future__ import annotations

from contracts.events import PaneCounted
from servicekit.config import Settings
from servicekit.topic_log import read_newest

TOPIC = "panes"


async def read_panes(settings: Settings) -> list[PaneCounted]:
    """Each pane as last written. The topic is ours: what cannot be read is an error, not a dead letter."""
    return await read_newest(settings, TOPIC, PaneCounted)
