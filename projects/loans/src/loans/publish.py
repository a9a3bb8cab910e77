"""Registers what ``dvc repro`` made; see :func:`modelkit.publish.publish`."""

from modelkit.publish import publish

from loans.fields import FIELDS, TARGET

if __name__ == "__main__":
    publish("loans", TARGET, FIELDS)
