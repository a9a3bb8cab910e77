"""Stage prepare: the first world's base rows."""

from modelkit.project import DATA, params, stage
from modelkit.stages import cast

from wine_quality.fields import FIELDS
from wine_quality.source import read
from wine_quality.worlds import worlds


def prepare() -> None:
    """Write ``data/base.parquet``."""
    p = params()
    base = worlds(
        read(), p["prepare"]["max_alcohol"], p["prepare"]["traffic_share"], p["prepare"]["traffic_seed"]
    )["base"]
    cast(base, FIELDS).to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
