"""The rows of a training as Parquet files in the project, and what to try of them, where its stages and DVC find them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from servicekit.provenance import SELECTION, snapshot_sha256

from trainer.domain.ledger import Rows
from trainer.domain.selection import Selection


def write_snapshot(project: Path, selection: Selection, target: str, as_of: int, confidence: float) -> str:
    """Write ``data/live/{training,holdout,reference}.parquet`` and ``selection.json``; the sha256 of them all.

    Held-out rows bear the ``event_span`` in which their luck is shared, as the challenge takes it.
    ``selection.json`` says when it was decided and from when to when the rows of the world now are (milliseconds), and which
    candidates to try, and with what ``confidence`` another than the first is taken.
    """
    data = project / "data" / "live"  # a dependency of the project's split and profile stages
    data.mkdir(parents=True, exist_ok=True)
    write_rows(data / "training.parquet", selection.train, target)
    spans = {} if selection.spans is None else {"event_span": selection.spans}
    write_rows(data / "holdout.parquet", selection.holdout, target, **spans)
    write_rows(data / "reference.parquet", selection.reference, target, holdout=selection.reference_held_out)
    said = {
        "as_of": as_of,
        "since": selection.since,
        "until": selection.until,
        "confidence": confidence,
        "candidates": [asdict(candidate) for candidate in selection.candidates],
    }
    (project / SELECTION).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return snapshot_sha256(project)


def write_rows(path: Path, rows: Rows, target: str, **extra: Any) -> None:
    """Features by name, the truth as ``target``, the times in milliseconds, the id, then ``extra`` columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            **{name: pa.array(column) for name, column in sorted(rows.features.items())},
            target: pa.array(rows.truth),
            "event_time": pa.array(rows.event_time),
            "label_time": pa.array(rows.label_time),
            "prediction_id": pa.array(rows.prediction_id.tolist(), pa.string()),
            **{name: pa.array(column) for name, column in extra.items()},
        }
    )
    pq.write_table(table, path)


def read_columns(content: bytes) -> dict[str, list[Any]]:
    """The columns of a Parquet file, by name; raises ``ValueError`` for what is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = pq.read_table(pa.BufferReader(content)).to_pydict()
    return columns
