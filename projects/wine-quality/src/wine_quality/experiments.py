"""The thesis's Figure 18: accuracy by ``max_depth`` in its first world (alcohol <= 11), as MLflow runs.

``ATALAIA_MLFLOW`` names the server; without it the runs go to ``mlflow.db`` in the working directory.
"""

from __future__ import annotations

import os

from modelkit.stages import cast
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from wine_quality.fields import FIELDS, TARGET
from wine_quality.source import read

DEPTHS = (5, 10, 15, 20, 25, 30, 35)


def accuracies() -> dict[int, float]:
    """Accuracy on a quarter of the rows, held out with ``random_state`` 42."""
    frame = cast(read(), FIELDS)
    frame = frame[frame["alcohol"] <= 11]
    names = [f.name for f in FIELDS]
    train_x, test_x, train_y, test_y = train_test_split(
        frame[names], frame[TARGET], test_size=0.25, random_state=42
    )
    return {
        depth: float(DecisionTreeClassifier(max_depth=depth, random_state=42).fit(train_x, train_y).score(test_x, test_y))
        for depth in DEPTHS
    }  # fmt: skip


def main() -> None:
    """Log one run a depth and print the table."""
    found = accuracies()
    import mlflow

    mlflow.set_tracking_uri(os.environ.get("ATALAIA_MLFLOW", "sqlite:///mlflow.db"))
    mlflow.set_experiment("wine-quality-figure-18")
    print("max_depth  accuracy")
    for depth, accuracy in found.items():
        with mlflow.start_run(run_name=f"max_depth={depth}"):
            mlflow.log_params({"max_depth": depth, "test_size": 0.25, "random_state": 42, "max_alcohol": 11})
            mlflow.log_metric("accuracy", accuracy)
        print(f"{depth:9}  {accuracy:.3f}")


if __name__ == "__main__":
    main()
