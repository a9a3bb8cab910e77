"""Stage prepare: the first world's base rows."""

from modelkit.project import DATA, params, stage
from modelkit.stages import cast

from wine_quality.fields import FIELDS
from wine_quality.worlds import read_worlds


def prepare() -> None:
    """Write ``data/base.parquet``."""
    base = read_worlds(params())["base"]
    cast(base, FIELDS).to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
