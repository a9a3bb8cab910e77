"""What the project's pipeline finds: the truth in the types its own data have."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contracts.events import Label
from servicekit.config import Settings
from trainer.commands import PipelineFailed
from trainer.domain.columns import Labels
from trainer.domain.ledger import Rows
from trainer.pipeline import Pipeline
from trainer.snapshot import write_rows


@pytest.mark.parametrize(
    ("labels", "base", "dtype"),
    [
        ([5, 6, 5], "int64", "int64"),  # red wine's classes
        ([5, "6", 5.0], "int64", "int64"),
        (["5", "6", "5"], "int64", "str"),
        (["yes", "no", "yes"], "str", "str"),
        ([5, "6", "fine"], "str", "str"),
        ([1, 2.5, "3"], "float64", "float64"),
    ],
)
def test_the_truth_can_be_cast_to_the_projects_own_type(
    tmp_path: Path, labels: list[Label], base: str, dtype: str
) -> None:
    """Integer classes are written as integers, and what a project casts them to is what they are."""
    column, index = Labels(), np.arange(len(labels))
    column.append(column.code(labels))
    ids: Any = np.array(["p", "q", "r"])
    rows = Rows(ids, index, index + 1, {"x": index.astype(np.float64)}, column.get(index))
    write_rows(tmp_path / "training.parquet", rows, "quality")
    frame = pd.read_parquet(tmp_path / "training.parquet")
    assert str(frame["quality"].dtype) == dtype
    assert [str(v) for v in frame["quality"].astype(base)] == [
        str(float(v)) if base == "float64" else str(v).removesuffix(".0") for v in labels
    ]


def test_a_project_that_hides_its_snapshots_is_refused(tmp_path: Path) -> None:
    """DVC would not find what it tracks there: the reason says what .gitignore has to say, and that is then enough."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    pipeline = Pipeline(Settings(data_dir=tmp_path, project=tmp_path))
    pipeline.folder.mkdir(parents=True)
    pipeline.clone.work = tmp_path
    ignored = tmp_path / ".gitignore"
    ignored.write_text("/data/*\n!/data/live\n/data/live/*\n!/data/live/.gitkeep\n")
    with pytest.raises(
        PipelineFailed, match=r"is git-ignored.*let the project's .gitignore say /data/\*.parquet"
    ):
        asyncio.run(pipeline.clone.trackable())
    ignored.write_text("/data/*.parquet\n/data/live/*.parquet\n")
    asyncio.run(pipeline.clone.trackable())
