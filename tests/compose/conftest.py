"""One composed platform for all tests of this folder, in their order; its volumes go at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_stack import Stack, engine_missing

DATA = os.environ.get(
    "ATALAIA_WINE_CSV", str(Path(__file__).parents[3] / "shared" / "data" / "winequality-red.csv")
)


@pytest.fixture(scope="session")
def engine() -> None:
    """Fails in one line without a Docker engine."""
    if missing := engine_missing():
        pytest.fail(missing, pytrace=False)


@pytest.fixture(scope="session")
def wine() -> Path:
    """UCI's file, or the session is over: the composed demo needs it."""
    if not Path(DATA).is_file():
        pytest.fail("set ATALAIA_WINE_CSV to winequality-red.csv", pytrace=False)
    return Path(DATA).resolve()


@pytest.fixture(scope="session")
def stack(engine: None, wine: Path) -> Iterator[Stack]:
    """Not yet up: the first tests look at what would be."""
    stack = Stack(
        f"atalaia-test-{os.getpid()}",
        {"WINE_CSV": str(wine), "ATALAIA_TAG": "test", "COMPOSE_IGNORE_ORPHANS": "true"},
    )
    try:
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--timeout", "20", seconds=300, check=False)
