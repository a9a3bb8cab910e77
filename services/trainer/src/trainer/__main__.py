"""``python -m trainer``: reads the settings, runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import sys

from servicekit.config import read_settings
from servicekit.errors import UserError
from servicekit.kafka_access import permitted
from servicekit.logs import set_up

from trainer.bootstrap import run


def main() -> int:
    """The process's exit code: 0 when told to stop, 2 for what the user can mend."""
    set_up()
    try:
        with permitted():
            asyncio.run(run(read_settings()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
