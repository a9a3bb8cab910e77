"""A library that has lost its broker says so once a minute; services say whatever they have to."""

import logging

from servicekit.logs import Repeats


def record(name: str, text: str, *arguments: object) -> logging.LogRecord:
    """A line as a logger makes it."""
    return logging.LogRecord(name, logging.ERROR, "", 0, text, arguments, None)


def test_a_library_repeats_itself_once_a_minute() -> None:
    """By its text, whatever values are in it; the next one that comes through counts those that did not."""
    now = [0.0]
    repeats = Repeats(60, lambda: now[0])
    assert repeats.filter(record("aiokafka.conn", "no node %s", 1))
    assert not repeats.filter(record("aiokafka.conn", "no node %s", 2))
    assert repeats.filter(record("aiokafka.conn", "something else"))
    assert repeats.filter(record("aiokafka", "no node %s", 1))
    now[0] = 59.9
    assert not repeats.filter(record("aiokafka.conn", "no node %s", 3))
    now[0] = 60.0
    last = record("aiokafka.conn", "no node %s", 4)
    assert repeats.filter(last)
    assert last.getMessage() == "no node 4 (2 more of these since the last)"


def test_a_service_is_not_cut_short() -> None:
    """What we say ourselves is all said."""
    repeats = Repeats(60)
    assert all(repeats.filter(record("predictor.produces.predictions", "spooled")) for _ in range(3))
