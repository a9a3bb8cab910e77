"""Commands that a pipeline consists of: in one environment, logged, and ended with the trainer, however that ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "atalaia-trainer"), ("EMAIL", "trainer@atalaia.invalid"))
}
_GUARD = Path(__file__).with_name("guard.py")


class PipelineFailed(RuntimeError):
    """A step of the pipeline ended with an error; the message names it and quotes its last words."""


class Commands:
    """Of one pipeline; ``log`` is a file that gets all they say, ``env`` is beside the trainer's own environment."""

    def __init__(self, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        self.env = {
            **os.environ,
            **_IDENTITY,
            "DVC_NO_ANALYTICS": "1",
            "PYTHONHASHSEED": "0",  # what a project's exporter gathers in a set shall have one order
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            **env,
        }

    async def run(self, what: str, *command: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Standard output of a command; raises :class:`PipelineFailed`. Ends the command when cancelled."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_GUARD), *command),
            cwd=cwd,
            env={**self.env, **(env or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the trainer, which ends its training itself
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            # Not communicate(): that would close standard input, which tells the guard that we are gone.
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
        finally:
            process.stdin.close()
            await asyncio.shield(process.wait())
        with self.log.open("ab") as file:
            file.write(b"$ " + " ".join(command).encode() + b"\n" + out + err)
        if process.returncode:
            words = (err.strip() or out.strip()).decode(errors="replace").splitlines()
            # DVC's own last word only says which command failed; the command said why.
            telling = [w for w in words if "error" in w.lower() and "failed to reproduce" not in w]
            said = (telling or words or [""])[-1]
            raise PipelineFailed(f"{what} ended with exit code {process.returncode}: {said.strip()[:400]}")
        return out.decode()

    async def git(self, *arguments: str, cwd: Path) -> str:
        """What git says, without hooks or signatures; raises :class:`PipelineFailed`."""
        quiet = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false")
        return (await self.run(f"git {arguments[0]}", "git", *quiet, *arguments, cwd=cwd)).strip()
