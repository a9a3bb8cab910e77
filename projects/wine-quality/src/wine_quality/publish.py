"""Registers what ``dvc repro`` made; see :func:`modelkit.publish.publish`."""

from modelkit.publish import publish

from wine_quality.fields import FIELDS, TARGET

if __name__ == "__main__":
    publish("wine-quality", TARGET, FIELDS)
