"""Registers what ``dvc repro`` made; see :func:`modelkit.publish.publish`."""

from modelkit.publish import publish

from arrival_delay.fields import FIELDS, TARGET

if __name__ == "__main__":
    publish("arrival-delay", TARGET, FIELDS)
