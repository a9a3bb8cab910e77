"""What the model takes: the physicochemical measurements of the red-wine data (UCI 186)."""

from summaries.profile import FieldSpec

TARGET = "quality"


def _f(name: str, unit: str, description: str) -> FieldSpec:
    return FieldSpec(name, "float32", unit=unit, description=description, min=0)


FIELDS = [
    _f("fixed acidity", "g/dm3", "tartaric acid"),
    _f("volatile acidity", "g/dm3", "acetic acid"),
    _f("citric acid", "g/dm3", "citric acid"),
    _f("residual sugar", "g/dm3", "sugar left after fermentation"),
    _f("chlorides", "g/dm3", "sodium chloride"),
    _f("free sulfur dioxide", "mg/dm3", "free SO2"),
    _f("total sulfur dioxide", "mg/dm3", "free and bound SO2"),
    _f("density", "g/cm3", "density"),
    _f("pH", "", "acidity"),
    _f("sulphates", "g/dm3", "potassium sulphate"),
    _f("alcohol", "% vol", "alcohol"),
]
