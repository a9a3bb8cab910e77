"""The rows of a training as Parquet files in the project, where its stages and DVC find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servicekit.provenance import snapshot_sha256

from trainer.domain.ledger import Rows
from trainer.domain.selection import Selection


def write_snapshot(project: Path, selection: Selection, target: str) -> str:
    """Write ``data/live/{training,holdout,reference}.parquet``; the sha256 of all three."""
    data = project / "data" / "live"  # a dependency of the project's split and profile stages
    data.mkdir(parents=True, exist_ok=True)
    for name, rows in (("training", selection.train), ("holdout", selection.holdout)):
        write_rows(data / f"{name}.parquet", rows, target)
    write_rows(data / "reference.parquet", selection.reference, target, holdout=selection.reference_held_out)
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
