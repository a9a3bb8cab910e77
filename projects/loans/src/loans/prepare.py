"""Stage prepare: the first world's decided applications."""

from modelkit.project import DATA, params, stage

from loans.source import applications


def prepare() -> None:
    """Write ``data/base.parquet``."""
    p = params()["prepare"]
    frame = applications(p["function"], p["rows"], p["seed"], p["noise"])
    frame.to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
