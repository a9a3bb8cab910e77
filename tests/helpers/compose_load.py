"""A client of a composed platform that never gives up: it sends rows and their labels, and remembers what it was promised."""

from __future__ import annotations

import csv
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROWS = 20
SECOND = 1000
STOP_SECONDS = 300.0
AGAIN_SECONDS = 0.2


class Load(threading.Thread):
    """Batches of wine, one after the other, each a moment of event time later; labels of a batch once ten more are answered.

    ``acknowledged``: prediction id -> event time (ms) of what was answered with 200; ``labelled``: ids of what was answered
    with 202; ``refused``: how often neither came, and the same was sent again.
    """

    def __init__(
        self, predictor: str, feedback: str, data: Path, start: int, apart_ms: int = 60 * SECOND
    ) -> None:
        super().__init__(daemon=True)
        with data.open(encoding="utf-8") as file:
            wines = list(csv.DictReader(file, delimiter=";"))
        self._rows = [{k: float(v) for k, v in wine.items() if k != "quality"} for wine in wines]
        self._truths = [wine["quality"] for wine in wines]
        self._predict, self._label = (
            f"{predictor}/api/v1.0/predict/batch",
            f"{feedback}/api/v1.0/feedback/batch",
        )
        self._apart, self._over = apart_ms, threading.Event()
        self.event_time = start
        self.acknowledged: dict[str, int] = {}
        self.labelled: set[str] = set()
        self.refused = 0
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """After the batch that is under way, and the labels that are due; raises what went wrong."""
        self._over.set()
        self.join(STOP_SECONDS)
        if self.is_alive():
            raise AssertionError(
                f"what was under way was not answered within {STOP_SECONDS:.0f} s of being told to stop"
            )
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        """Until told to stop."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  it is raised by stop()
            self.failure = error

    def _run(self) -> None:
        due: list[tuple[list[str], list[str], int]] = []
        at = 0
        while not self._over.is_set():
            picked = [(at + i) % len(self._rows) for i in range(ROWS)]
            at += ROWS
            body = {"rows": [self._rows[i] for i in picked], "event_time": self.event_time}
            answer = self._post(self._predict, body, 200)
            ids = [row["prediction_id"] for row in answer["predictions"]]
            self.acknowledged |= dict.fromkeys(ids, self.event_time)
            due.append((ids, [self._truths[i] for i in picked], self.event_time))
            self.event_time += self._apart
            if len(due) > 10:
                self._upload(*due.pop(0))
        for each in due:
            self._upload(*each)

    def _upload(self, ids: list[str], truths: list[str], event_time: int) -> None:
        times = [event_time + 10 * self._apart] * len(ids)
        self._post(self._label, {"prediction_id": ids, "truth": truths, "label_time": times}, 202)
        self.labelled |= set(ids)

    def _post(self, url: str, body: dict[str, Any], expected: int) -> Any:
        data = json.dumps(body).encode()
        while True:
            asked = urllib.request.Request(url, data, {"content-type": "application/json"})
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    if answer.status == expected:
                        return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise AssertionError(f"{url}: HTTP {error.code} {error.read()[:500]!r}") from None
            except (OSError, ValueError):
                pass  # nobody there, or gone before the answer
            self.refused += 1
            time.sleep(AGAIN_SECONDS)
