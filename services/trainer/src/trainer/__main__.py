"""``python -m trainer``: reads the settings, runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import sys

from servicekit.config import read_settings
from servicekit.errors import UserError

from trainer.bootstrap import run


def main() -> int:
    """The process's exit code: 0 when told to stop, 2 for what the user can mend."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        asyncio.run(run(read_settings()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
