"""Quality of predictions as integers that add: of classes or of numbers."""

from summaries.classification import BINS, OTHER, TOLERANCE, Classification
from summaries.regression import LARGEST, Regression

__all__ = ["BINS", "LARGEST", "OTHER", "TOLERANCE", "Classification", "Regression"]
