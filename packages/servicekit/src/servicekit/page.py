"""A page of the documentation that is generated: written, or with ``--check`` only compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


def main(content: Callable[[], str]) -> None:
    """Write the page that the command line names, or exit 1 where it is not current."""
    page = Path(sys.argv[1])
    if "--check" not in sys.argv:
        page.write_text(content(), encoding="utf-8")
    elif not page.exists() or page.read_text(encoding="utf-8") != content():
        sys.exit(f"{page} is not current: run `make contracts`")
