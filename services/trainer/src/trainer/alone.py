"""One trainer of a model in a data folder: two would train, commit and register side by side."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from servicekit.errors import UserError


@contextlib.contextmanager
def alone(folder: Path, model: str) -> Iterator[None]:
    """Hold ``folder/lock`` (flock(2)); raises :class:`UserError` where another process does.

    The kernel lets go of it when the process ends, however that comes about; the commands it starts do not hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"a trainer of {model} runs already in {folder} (process {holder}): stop it first, "
                "or give this one a folder of its own with ATALAIA_DATA_DIR"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
