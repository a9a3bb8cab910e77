"""Quality of predictions as integers that add: of classes or of numbers."""

from summaries.classification import OTHER, Classification
from summaries.regression import LARGEST, Regression
from summaries.scores import BINS, TOLERANCE

__all__ = ["BINS", "LARGEST", "OTHER", "TOLERANCE", "Classification", "Regression"]
