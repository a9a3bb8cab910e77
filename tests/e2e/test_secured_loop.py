"""The whole loop on a broker that asks for TLS and a login, and permits what Strimzi's user is permitted, and no more."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contracts.flow import load_topics
from secured_kafka import USER, grant, secured_kafka, until_joined
from servicekit.config import Settings
from servicekit.topics import GROUPS


@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loop_closes_behind_tls_and_a_login(tmp_path: Path) -> None:
    """The four services make the topics, and all that is said goes this way: none comes another, none needs more."""
    names = [name for topic in load_topics().values() for name in (topic.name, topic.dlq)]
    with secured_kafka(tmp_path) as secured:
        asyncio.run(grant(secured, USER, read=names, write=names, create=names, groups=GROUPS))
        asyncio.run(until_joined(Settings(**secured.given("SASL_SSL")), GROUPS[-1]))
        done = subprocess.run(
            [str(Path(sys.executable).parent / "atalaia"), "demo", "loans", "--out", str(tmp_path / "out")],
            env={**os.environ, **secured.env("SASL_SSL")}, capture_output=True, text=True, cwd=tmp_path, timeout=580,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["closed"]
    assert {c["ok"] for c in summary["checks"] if c["counts"]} == {True}
