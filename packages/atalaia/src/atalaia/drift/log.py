"""Where the commands read: a broker that answers, and the model that is meant."""

from __future__ import annotations

from collections.abc import Collection

from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import wait_for_kafka

PATIENCE_SECONDS = 5.0


async def connect(settings: Settings) -> None:
    """Raise ``UserError`` where no broker answers."""
    await wait_for_kafka(settings, PATIENCE_SECONDS)


def one_model(there: Collection[str], wanted: str, *, asked: bool) -> str:
    """The model that is meant: the wanted one, or the only one there is where nobody asked for one."""
    if wanted in there:
        return wanted
    if len(there) == 1 and not asked:
        return next(iter(there))
    if not there:
        raise UserError("no model has any rows counted on this broker: the topic panes is empty.")
    raise UserError(f"no rows of {wanted} are counted; say --model with one of {', '.join(sorted(there))}.")
