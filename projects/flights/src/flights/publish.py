"""Registers what ``dvc repro`` made; see :func:`modelkit.publish.publish`."""

from modelkit.publish import publish

from flights.fields import FIELDS, TARGET

if __name__ == "__main__":
    publish("flights", TARGET, FIELDS)
