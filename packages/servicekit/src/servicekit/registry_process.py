"""Profiles from the registry, asked for in a process of its own that ends when nothing is asked any more.

MLflow's client takes 90 MiB, and tries for minutes before it says that nobody answers. A service that asks once a
version need not keep the one, and can end without waiting for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

from servicekit.errors import UserError
from servicekit.registry import Registry

IDLE_SECONDS = 10.0
ANSWER_SECONDS = 15.0  # to begin takes three of them; others wait meanwhile
LONGEST = 8  # times as long it is waited for in the end, where a busy machine takes longer to begin
_LINE = 64 * 2**20  # bytes that a profile may have
_UNUSABLE = "unusable"


class RegistryProcess:
    """Asks one thing after another; the process is begun with the first."""

    def __init__(
        self, mlflow_uri: str, idle_seconds: float = IDLE_SECONDS, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._uri, self._idle_seconds, self._answer_seconds = mlflow_uri, idle_seconds, answer_seconds
        self._longer = 1
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def profile(self, model: str, version: str) -> dict[str, Any]:
        """As :meth:`servicekit.registry.Registry.profile`; raises :class:`UserError` as it does.

        Whatever else its client raises, and no answer in time, is a ``ConnectionError`` here: ask again. Each time without
        an answer the next may take twice as long: one that always ends too early would never have begun.
        """
        async with self._turn:
            if self._ending is not None:
                self._ending.cancel()
            try:
                async with asyncio.timeout(patience := self._answer_seconds * self._longer):
                    answer = await self._ask(model, version)
                self._longer = 1
            except TimeoutError:
                await self._end()
                self._longer = min(2 * self._longer, LONGEST)
                raise ConnectionError(
                    f"the registry at {self._uri} did not answer within {patience:g} s"
                ) from None
            except BaseException:
                await self._end()  # an answer that nobody waits for would be taken for the next one's
                raise
            self._ending = asyncio.create_task(self._end_when_idle())
        if "error" in answer:
            kind = UserError if answer["kind"] == _UNUSABLE else ConnectionError
            raise kind(answer["error"])
        content: dict[str, Any] = answer["profile"]
        return content

    async def close(self) -> None:
        """End the process, whatever it is at."""
        if self._ending is not None:
            self._ending.cancel()
        await self._end()

    async def _ask(self, model: str, version: str) -> dict[str, Any]:
        if not self.running:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "servicekit.registry_process", self._uri,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE,
                start_new_session=True,  # Ctrl-C is for the service, which ends it
            )  # fmt: skip
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):  # it has ended: reading says so
            process.stdin.write(json.dumps([model, version]).encode() + b"\n")
            await process.stdin.drain()
        try:
            line = await process.stdout.readline()
        except ValueError:
            raise UserError(
                f"The profile of {model} version {version} is larger than {_LINE >> 20} MiB."
            ) from None
        if not line.endswith(b"\n"):
            raise ConnectionError("the process that asks the registry ended; its messages are in the log")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def answer(registry: Registry, line: bytes) -> bytes:
    """The line that answers a line."""
    model, version = json.loads(line)
    try:
        said: dict[str, Any] = {"profile": registry.profile(model, version)}
    except UserError as error:
        said = {"error": str(error), "kind": _UNUSABLE}
    except Exception as error:  # noqa: BLE001  whatever the client raises is told
        said = {"error": str(error) or type(error).__name__, "kind": "away"}
    return json.dumps(said).encode() + b"\n"


def main(mlflow_uri: str) -> None:
    """Answer lines until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the client prints is no answer
    registry = Registry(mlflow_uri)
    for line in sys.stdin.buffer:
        answers.write(answer(registry, line))
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
