"""A version from the registry, proven to run: fetched in a thread of its own, checked and warmed up."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from scoring import Unusable
from servicekit.registry import ModelBundle

from predictor.domain.model import Model

RETRY_SECONDS = 5.0
T = TypeVar("T")
Fetch = Callable[[str, str], ModelBundle]  # model and version -> all of it


class Result(enum.Enum):
    """What became of an attempt to take up a version."""

    TAKEN_UP = "taken up"
    REFUSED = "refused"  # it will never do: trying again is in vain
    UNREACHABLE = "unreachable"  # the registry did not give it: try again


async def load(fetch: Fetch, model: str, version: str, sha256: str) -> Model:
    """The version, with the announced checksum where there is one.

    Raises :class:`scoring.Unusable` or :class:`servicekit.errors.UserError` for one that will never do; anything
    else raised may pass.
    """
    return await apart(proven, await apart(fetch, model, version), sha256)


def proven(bundle: ModelBundle, sha256: str) -> Model:
    """The bundle as a model that has scored its own example; raises :class:`scoring.Unusable`."""
    if sha256 and bundle.sha256 != sha256:
        raise Unusable(f"its sha256 is {bundle.sha256[:12]}…, announced was {sha256[:12]}…")
    model = Model(bundle.model, bundle.version, bundle.onnx, bundle.profile)
    odd = bundle.odd_fields()
    if odd:
        raise Unusable(f"its signature and its profile differ in {', '.join(odd)}")
    return model


def why(error: Exception) -> str:
    """An error as a piece of one line of the log."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


async def apart(work: Callable[..., T], *arguments: Any) -> T:
    """As ``asyncio.to_thread``, but an unreachable registry does not hold up the process's end.

    Whatever ``work`` raises is raised here as an ``Exception``.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(put: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            put(value)

    def run() -> None:
        put: Callable[[Any], None] = future.set_result
        try:
            value: Any = work(*arguments)
        except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
            put, value = future.set_exception, error
            if isinstance(error, StopIteration) or not isinstance(error, Exception):
                # A future takes no StopIteration, and a library's SystemExit is not the service's end.
                value = RuntimeError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, put, value)

    threading.Thread(target=run, name="take-up", daemon=True).start()
    return await future
