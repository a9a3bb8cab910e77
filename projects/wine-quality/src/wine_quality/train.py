"""Stage train: a decision tree, as in the thesis."""

from typing import Any

from modelkit.project import stage
from modelkit.stages import train_stage
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from wine_quality.fields import FIELDS, TARGET


def make(p: dict[str, Any]) -> Pipeline:
    """The untrained pipeline."""
    names = [f.name for f in FIELDS]
    return Pipeline([
        ("columns", ColumnTransformer([("numbers", "passthrough", names)])),
        ("tree", DecisionTreeClassifier(max_depth=p["max_depth"], random_state=p["seed"])),
    ])  # fmt: skip


if __name__ == "__main__":
    stage(lambda: train_stage(TARGET, FIELDS, make))
