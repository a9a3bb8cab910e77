"""What is known before departure: the flights' own fields. The answer is another: minutes."""

from flights.fields import FIELDS

TARGET = "arr_delay"

__all__ = ["FIELDS", "TARGET"]
