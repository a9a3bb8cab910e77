"""``drift-alerts``: one record a change of state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import AlertChanged
from servicekit.kafka import publish, until_acknowledged

TOPIC = "drift-alerts"
SOURCE = "drift-monitor"


def make_publish(producer: AIOKafkaProducer) -> Callable[[AlertChanged], Awaitable[None]]:
    """How an alert is written."""

    async def publish_alert(alert: AlertChanged) -> None:
        ce_id = derived_id("alert", alert.alert_id, alert.window_end, alert.state)
        await until_acknowledged(
            TOPIC, lambda: publish(producer, TOPIC, alert, source=SOURCE, key=alert.model, ce_id=ce_id)
        )

    return publish_alert
