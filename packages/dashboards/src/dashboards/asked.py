"""What Grafana asks Prometheus for a dashboard: each query with its variables filled in, over a range of time or as of its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

POINTS = 1_000  # of a panel as wide as a screen: Grafana asks for no more


class Asked(NamedTuple):
    """A query of a dashboard's JSON; ``title``: of the panel, or ``annotation`` or ``variable`` and its name."""

    title: str
    expr: str
    instant: bool = False


def asked(built: Mapping[str, Any]) -> Iterator[Asked]:
    """All queries of a dashboard's JSON, variables first, for the others are asked with what they say.

    >>> list(asked({"panels": [{"title": "t", "targets": [{"expr": "up", "instant": True}]}]}))
    [Asked(title='t', expr='up', instant=True)]
    """
    for variable in built.get("templating", {}).get("list", []):
        expr = variable["query"].removeprefix("label_values(").rpartition(",")[0]
        yield Asked(f"variable {variable['name']}", expr)
    for mark in built.get("annotations", {}).get("list", []):
        yield Asked(f"annotation {mark['name']}", mark["expr"])
    for panel in built["panels"]:
        for inner in (panel, *panel.get("panels", [])):
            for target in inner.get("targets", ()):
                yield Asked(inner["title"], target["expr"], bool(target.get("instant")))


def filled_in(expr: str, variables: Mapping[str, str], seconds: float, scrape: float = 15) -> str:
    """An expression over so many seconds, as Grafana fills it in where targets are scraped every ``scrape`` seconds.

    A point is a thousandth of the range and at least a scrape; a rate takes four scrapes, or a point and a scrape.

    >>> filled_in('rate(x{model="$model"}[$__rate_interval])', {"model": "wine"}, seconds=3600)
    'rate(x{model="wine"}[60s])'
    >>> filled_in("increase(x[$__range]) unless y offset $__interval", {}, seconds=21600.4)
    'increase(x[21600s]) unless y offset 21600ms'
    """
    step = interval(seconds, scrape)
    given = {
        "__rate_interval": _duration(max(step + scrape, 4 * scrape)),
        "__interval": _duration(step),
        "__range": _duration(round(seconds)),
        **variables,
    }
    for name in sorted(given, key=len, reverse=True):  # $metrics is not $metric
        expr = expr.replace(f"${name}", given[name])
    return expr


def interval(seconds: float, scrape: float = 15) -> float:
    """How far apart the points of a panel over so many seconds are."""
    return max(seconds / POINTS, scrape)


def _duration(seconds: float) -> str:
    """As PromQL takes it: whole seconds, or whole milliseconds."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{1000 * seconds:.0f}ms"
