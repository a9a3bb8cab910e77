"""The ids of the records on ``training-runs``."""

from __future__ import annotations

from typing import Any

import msgspec
from contracts.codec import derived_id
from trainer.produces import training_runs
from trainer_fakes import begun


class _Producer:
    """Keeps the ids of what is sent."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def send_and_wait(self, topic: str, value: bytes, *, headers: Any, **_: Any) -> None:
        """As aiokafka's."""
        self.ids.append(dict(headers)["ce_id"].decode())


async def test_a_run_that_waits_twice_has_two_ids_and_the_others_keep_theirs() -> None:
    """For its shadow period and for a person; what waits for rows has the id that it always had."""
    producer: Any = _Producer()
    said: list[dict[str, Any]] = [
        {}, {"decision": "waiting", "waits_for": "rows"}, {"decision": "waiting", "waits_for": "shadow"},
        {"decision": "waiting", "waits_for": "approval"}, {"decision": "promoted"},
    ]  # fmt: skip
    for change in said:
        await training_runs.record(producer, msgspec.structs.replace(begun(), **change))
    run, topic = begun().run_id, "training-runs"
    assert len(set(producer.ids)) == len(said)
    assert [producer.ids[i] for i in (0, 1, 4)] == [
        derived_id(topic, run, w) for w in ("started", "waiting", "promoted")
    ]
