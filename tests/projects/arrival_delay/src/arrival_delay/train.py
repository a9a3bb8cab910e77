"""Stage train: a random forest of regression trees over medians and one-hot categories."""

from typing import Any

from modelkit.project import stage
from modelkit.stages import train_stage
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from arrival_delay.fields import FIELDS, TARGET


def make(p: dict[str, Any]) -> Pipeline:
    """The untrained pipeline."""
    numbers = [f.name for f in FIELDS if f.dtype == "float32"]
    texts = [f.name for f in FIELDS if f.dtype == "string"]
    columns = ColumnTransformer([
        ("numbers", SimpleImputer(strategy="median"), numbers),
        ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"), texts),
    ])  # fmt: skip
    forest = RandomForestRegressor(
        n_estimators=p["n_estimators"],
        max_depth=p["max_depth"],
        min_samples_leaf=p["min_samples_leaf"],
        random_state=p["seed"],
        n_jobs=2,
    )
    return Pipeline([("columns", columns), ("forest", forest)])


if __name__ == "__main__":
    stage(lambda: train_stage(TARGET, FIELDS, make))
