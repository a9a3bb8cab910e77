"""Helpers of these tests, importable under names that no other folder's have."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.topics import ensure_topics

for name in ("feedback_on_kafka", "quality_world", "fake_kafka"):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)

    spec.loader.exec_module(sys.modules[name])


@pytest.fixture(scope="session")
def shared_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with the topics in 12 partitions, for tests that each know their own records among others'."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka")).start()
    try:
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=12)))
        yield broker.bootstrap
    finally:
        broker.stop()
