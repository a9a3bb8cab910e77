"""``python -m feedback``: the service, set by environment variables ``ATALAIA_*``."""

from __future__ import annotations

import asyncio
import sys

from servicekit.config import read_settings
from servicekit.errors import UserError
from servicekit.kafka_access import permitted
from servicekit.logs import set_up
from servicekit.memory import share_arenas

from feedback.bootstrap import run


def main() -> int:
    """Run; 2 where the user can mend what is wrong, said in one line."""
    set_up()
    share_arenas()
    try:
        with permitted():
            asyncio.run(run(read_settings()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
