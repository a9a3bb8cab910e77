"""What several workers say at ``/metrics`` is what one would have said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import Gauge
from prometheus_client.multiprocess import mark_process_dead
from servicekit import metrics
from servicekit.shared_folder import shared_folder

BEGIN = """
import os, sys
from prometheus_client import values
if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    values.ValueClass = values.MultiProcessValue(lambda: sys.argv[1])
from servicekit import metrics
from servicekit.exposition import exposition
"""
WORK = """
metrics.REQUESTS.labels("/a", 200).inc(3)
metrics.REQUEST_SECONDS.labels("/a").observe(0.003)
metrics.BATCH_ROWS.observe(7)
metrics.MODEL_INFO.labels("m", "1", "promoted").set(1)
"""
SWAP = 'metrics.MODEL_INFO.clear(); metrics.MODEL_INFO.labels("m", "2", "promoted").set(1)\n'
SAY = "sys.stdout.write(exposition().decode())\n"


def run(folder: Path | None, worker: int, code: str) -> str:
    """The output of a worker process that does ``code``."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder or "")}
    if folder is None:
        del env["PROMETHEUS_MULTIPROC_DIR"]
    command = [sys.executable, "-W", "error", "-c", BEGIN + code, str(worker)]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


def ours(text: str) -> dict[str, float]:
    """Each series of ours, and its value."""
    found = re.findall(r"^(atalaia_\S+?(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {series: float(value) for series, value in found if "_created" not in series}


def heads(text: str) -> list[str]:
    """The lines of help and type of our metrics."""
    return [
        line
        for line in text.splitlines()
        if re.match(r"# (HELP|TYPE) atalaia_", line) and "_created" not in line
    ]


def test_workers_say_what_one_process_would(tmp_path: Path) -> None:
    """Help, types, series and values are those of one process that had done all, whoever is asked."""
    alone = run(
        None, 0, WORK + WORK + WORK + "metrics.MODEL_INFO.labels('m', '1', 'promoted').set(3)\n" + SAY
    )
    for worker in range(3):
        run(tmp_path, worker, WORK)
    for worker in (0, 7):
        together = run(tmp_path, worker, SAY)
        assert ours(together) == ours(alone)
        assert heads(together) == heads(alone)


def test_a_swap_leaves_no_series_behind(tmp_path: Path) -> None:
    """While one of two workers has swapped both versions are there, afterwards the new one alone, as in one process."""
    info = 'atalaia_model_info{action="promoted",model="m",version="%s"}'
    run(tmp_path, 0, WORK + SWAP)
    said = ours(run(tmp_path, 1, WORK + SAY))
    assert (said[info % 1], said[info % 2]) == (1, 1)
    run(tmp_path, 1, WORK + SWAP)
    said = ours(run(tmp_path, 2, SAY))
    assert (info % 1 in said, said[info % 2]) == (False, 2)
    said = ours(run(None, 0, WORK + SWAP + SAY))
    assert (info % 1 in said, said[info % 2]) == (False, 1)


def test_a_dead_workers_counters_go_on_and_its_gauges_do_not(tmp_path: Path) -> None:
    """Who takes a dead worker's place counts on in the same files; what served in it serves no more."""
    run(tmp_path, 0, WORK)
    run(tmp_path, 1, WORK)
    mark_process_dead(1, str(tmp_path))  # type: ignore[no-untyped-call]
    said = ours(run(tmp_path, 0, SAY))
    assert said['atalaia_model_info{action="promoted",model="m",version="1"}'] == 1
    assert said['atalaia_requests_total{route="/a",status="200"}'] == 6
    files = len(list(tmp_path.glob("counter_*")))
    said = ours(run(tmp_path, 1, WORK + SAY))
    assert said['atalaia_model_info{action="promoted",model="m",version="1"}'] == 2
    assert said['atalaia_requests_total{route="/a",status="200"}'] == 9
    assert len(list(tmp_path.glob("counter_*"))) == files


def test_a_worker_that_has_just_begun_breaks_no_page(tmp_path: Path) -> None:
    """A file that is there and still empty is no error."""
    run(tmp_path, 0, WORK)
    (tmp_path / "counter_1.db").touch()
    assert ours(run(tmp_path, 0, SAY))['atalaia_requests_total{route="/a",status="200"}'] == 3


def test_every_gauge_says_what_workers_values_come_to() -> None:
    """None is shown once a process; one without labels is a sum or a maximum, for it is there before it is set."""
    gauges = [made for made in vars(metrics).values() if isinstance(made, Gauge)]
    assert len(gauges) > 20
    for gauge in gauges:
        assert gauge._multiprocess_mode in get_args(metrics.OverWorkers), gauge._name
        assert gauge._labelnames or gauge._multiprocess_mode != "livemostrecent", gauge._name


def test_a_left_folder_is_removed_one_in_use_is_not(tmp_path: Path) -> None:
    """The next to start removes what a killed process left, and leaves others' alone."""
    left = tmp_path / "x-left"
    left.mkdir()
    (left / ".lock").touch()
    (tmp_path / "y-other").mkdir()
    with shared_folder("x-", tmp_path) as first:
        assert not left.exists()
        (first / "file").touch()
        with shared_folder("x-", tmp_path) as second:
            assert first != second
            assert (first / "file").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["y-other"]


def test_a_shared_folder_is_removed_whatever_happens(tmp_path: Path) -> None:
    """An error inside is raised, and nothing is left."""
    with pytest.raises(ZeroDivisionError), shared_folder("x-", tmp_path):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())
